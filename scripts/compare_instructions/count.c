/* A plugin of QEMU's that counts the instructions of a program, in all and by function, and writes
 * them into a file at its end: lines of a count and a name. Of one thread: threads would count
 * past each other.
 *   qemu-aarch64 -plugin ./count.so,out=FILE PROGRAM */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What it needs of qemu-plugin.h, which Debian does not ship. PLUGIN_VERSION: of the interface, 1
 * in QEMU 7.2, 4 in 10.0. */
typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *block, size_t index);
const char *qemu_plugin_insn_symbol(const struct qemu_plugin_insn *instruction);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id,
                                           void (*translated)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *block,
                                          void (*run)(unsigned, void *), int flags, void *data);
void qemu_plugin_register_atexit_cb(plugin_id id, void (*end)(plugin_id, void *), void *data);

__attribute__((visibility("default"))) int qemu_plugin_version = PLUGIN_VERSION;

struct function {
  const char *name;
  uint64_t count;
  struct function *next;
};

struct block {
  struct function *function;
  uint64_t instructions;
};

static struct function *functions[4096];
static char path[4096];

static struct function *function_of(const char *name) {
  uint32_t hash = 5381;
  for (const char *c = name; *c != 0; ++c) hash = hash * 33 + (unsigned char)*c;
  struct function **first = &functions[hash % 4096];
  for (struct function *f = *first; f != NULL; f = f->next)
    if (strcmp(f->name, name) == 0) return f;
  struct function *made = calloc(1, sizeof *made);
  made->name = strdup(name);
  made->next = *first;
  return *first = made;
}

static void run(unsigned cpu, void *data) {
  (void)cpu;
  const struct block *block = data;
  block->function->count += block->instructions;
}

static void translated(plugin_id id, struct qemu_plugin_tb *tb) {
  (void)id;
  const char *name = qemu_plugin_insn_symbol(qemu_plugin_tb_get_insn(tb, 0));
  struct block *block = malloc(sizeof *block);
  block->function = function_of(name != NULL ? name : "?");
  block->instructions = qemu_plugin_tb_n_insns(tb);
  qemu_plugin_register_vcpu_tb_exec_cb(tb, run, 0, block);
}

static void end(plugin_id id, void *data) {
  (void)id;
  (void)data;
  FILE *file = fopen(path, "w");
  if (file == NULL) return;
  for (int i = 0; i < 4096; ++i)
    for (const struct function *f = functions[i]; f != NULL; f = f->next)
      if (f->count > 0) fprintf(file, "%llu %s\n", (unsigned long long)f->count, f->name);
  fclose(file);
}

__attribute__((visibility("default"))) int qemu_plugin_install(plugin_id id, const void *info,
                                                               int argc, char **argv) {
  (void)info;
  for (int i = 0; i < argc; ++i)
    if (strncmp(argv[i], "out=", 4) == 0) snprintf(path, sizeof path, "%s", argv[i] + 4);
  if (path[0] == 0) return 1;
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_atexit_cb(id, end, NULL);
  return 0;
}
