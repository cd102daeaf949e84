// Types of the IR as the kernels name them.
#pragma once

#include "ir/dtype.h"
#include "kernels/element.h"

namespace lathe {

/// Throws InternalError for a type that no kernel takes.
ElementType element_type(DType dtype);

}  // namespace lathe
