// SPDX-License-Identifier: BSD-3-Clause
//
// The text that a model writes on from a beginning, from C++.
//
//   c++ next_words.cpp $(pkg-config --cflags --libs rnnkit) -o next_words
//   ./next_words model.rnn "the cat"
#include <rnnkit.h>

#include <iostream>
#include <memory>
#include <string>
#include <vector>

int main(int argc, char **argv)
{
    rnnkit_error error = {"give a model and a text"};
    rnnkit_model *model = nullptr;
    rnnkit_stream *stream = nullptr;
    rnnkit_generation how = RNNKIT_GENERATION;
    std::vector<int32_t> ids(how.max_new_tokens);
    const std::string prompt = argc == 3 ? argv[2] : "";
    size_t n = 0, n_bytes = 0;
    const bool good =
        argc == 3 && !rnnkit_model_load(&model, argv[1], &error) &&
        !rnnkit_stream_create(&stream, model, 1, &error) &&
        !rnnkit_stream_feed_text(stream, prompt.data(), prompt.size(), &error) &&
        !rnnkit_stream_generate(stream, &how, ids.data(), &n, &error);
    std::unique_ptr<rnnkit_model, void (*)(rnnkit_model *)> owner(model, rnnkit_model_free);
    std::unique_ptr<rnnkit_stream, void (*)(rnnkit_stream *)> last(stream, rnnkit_stream_free);
    if (!good) {
        std::cerr << error.text << '\n';
        return 1;
    }
    rnnkit_model_decode(model, ids.data(), n, nullptr, 0, &n_bytes, nullptr);
    std::string text(n_bytes, ' ');
    rnnkit_model_decode(model, ids.data(), n, &text[0], n_bytes, &n_bytes, nullptr);
    std::cout << text << '\n';
}
