#include "torchscript/read/input_notes.h"

#include <doctest/doctest.h>

namespace lathe {

TEST_CASE("notes of inputs survive as text") {
  const std::vector<InputNote> notes{
      {DType::kFloat32, {Dim::named("batch size"), Dim::of(3), Dim{}}}, {DType::kInt64, {}}};
  const std::string text = input_notes_text(notes);
  CHECK(text == "float batch_size,3,?\nint64 \n");
  const auto read = parse_input_notes(text);
  REQUIRE(read);
  REQUIRE(read->size() == 2);
  CHECK(((*read)[0].dims == Dims{Dim::named("batch_size"), Dim::of(3), Dim{}}));
  CHECK((*read)[1].dtype == DType::kInt64);
  CHECK((*read)[1].dims.empty());
}

TEST_CASE("other text is no note") {
  for (const char* text : {"float 1,2", "float 1,,2\n", "float 1,\n", "flo 1\n", "float -1\n", "\n",
                           "float 1;2\n", "string 1\n", "float 99999999999\n", "float 1x\n"}) {
    INFO(text);
    CHECK_FALSE(parse_input_notes(text));
  }
  CHECK_FALSE(parse_input_notes(std::string(kMaxInputNotesBytes + 1, '\n')));
}

}  // namespace lathe
