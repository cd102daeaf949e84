"""What detectors found, and how far two agree: F1 of the candidate's boxes against float's."""

import numpy as np


def overlap(box, others):
    """Intersection over union of one x1 y1 x2 y2 with many."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = np.prod(np.clip(high - low, 0, None), 1)
    areas = np.prod(others[:, 2:] - others[:, :2], 1)
    return shared / (np.prod(box[2:] - box[:2]) + areas - shared + 1e-12)


def suppressed(boxes, scores, classes, limit):
    """Greedy non-maximum suppression within a class: [(class, box)], best first."""
    order, kept = np.argsort(-scores, kind="stable"), []
    while order.size:
        best, order = order[0], order[1:]
        kept.append((classes[best], boxes[best]))
        same = (classes[order] == classes[best]) & (overlap(boxes[best], boxes[order]) > limit)
        order = order[~same]
    return kept


def faces(values):
    """UltraFace: scores 1 x N x 2 and boxes 1 x N x 4."""
    scores, boxes = values[0][0, :, 1], values[1][0]
    sure = scores > 0.7
    return suppressed(boxes[sure], scores[sure], np.zeros(sure.sum(), int), 0.3)


def objects(values):
    """YOLOX at 416 x 416: centre and size on grids of stride 8, 16, 32; objectness, 80 classes."""
    cells = []
    for stride in (8, 16, 32):
        side = 416 // stride
        y, x = np.mgrid[:side, :side]
        cells.append(np.stack([x.ravel(), y.ravel(), np.full(side * side, stride)], 1))
    cells, rows = np.concatenate(cells), values[0][0].astype(np.float64)
    scores = rows[:, 4] * rows[:, 5:].max(1)
    sure = scores > 0.3
    rows, cells, scores = rows[sure], cells[sure], scores[sure]
    centre = (rows[:, :2] + cells[:, :2]) * cells[:, 2:]
    half = np.exp(np.clip(rows[:, 2:4], None, 20)) * cells[:, 2:] / 2
    boxes = np.concatenate([centre - half, centre + half], 1)
    return suppressed(boxes, scores, rows[:, 5:].argmax(1), 0.45)


def f1(reference, outputs, found):
    """2 x pairs / (boxes of both), a pair being of one class and half covered; over all samples."""
    pairs = boxes = 0
    for expected, got in zip(map(found, reference), map(found, outputs)):
        boxes += len(expected) + len(got)
        for kind, box in got:
            fits = [(overlap(box, other[None])[0], i) for i, (other_kind, other)
                    in enumerate(expected) if other_kind == kind]
            if fits and max(fits)[0] >= 0.5:
                pairs += 1
                expected.pop(max(fits)[1])
    return 1.0 if boxes == 0 else 2 * pairs / boxes
