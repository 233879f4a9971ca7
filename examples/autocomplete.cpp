// SPDX-License-Identifier: BSD-3-Clause
//
// Completes what is typed, from C++: for each line, the likeliest words that its last one may
// become; behind a blank, the likeliest next words. For models whose tokens are words.
//
//   c++ autocomplete.cpp $(pkg-config --cflags --libs rnnkit) -o autocomplete
//   ./autocomplete model.rnn
#include <rnnkit.h>

#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

// ---------------------------------------------- the library, as C++ would have it

struct Freeing {
    void operator()(rnnkit_model *model) const { rnnkit_model_free(model); }
    void operator()(rnnkit_stream *stream) const { rnnkit_stream_free(stream); }
};
using Model = std::unique_ptr<rnnkit_model, Freeing>;
using Stream = std::unique_ptr<rnnkit_stream, Freeing>;

static void check(rnnkit_status status, const rnnkit_error &error)
{
    if (status != RNNKIT_OK)
        throw std::runtime_error(error.text);
}

static Model load(const char *path)
{
    rnnkit_error error;
    rnnkit_model *model = nullptr;
    check(rnnkit_model_load(&model, path, &error), error);
    return Model(model);
}

static Stream stream_of(const Model &model)
{
    rnnkit_error error;
    rnnkit_stream *stream = nullptr;
    check(rnnkit_stream_create(&stream, model.get(), 1, &error), error);
    return Stream(stream);
}

struct Word {
    std::string text;
    double probability;
};

static std::vector<Word> complete(const Model &model, const Stream &stream,
                                  const std::string &text, size_t k)
{
    rnnkit_error error;
    std::vector<int32_t> ids(k);
    std::vector<double> p(k);
    size_t n = 0;
    rnnkit_stream_reset(stream.get());
    check(rnnkit_stream_complete(stream.get(), text.data(), text.size(), k, ids.data(),
                                 p.data(), &n, &error),
          error);
    std::vector<Word> words;
    for (size_t i = 0, n_bytes = 0; i < n; i++) {
        const char *word = rnnkit_model_token(model.get(), ids[i], &n_bytes);
        words.push_back({std::string(word, n_bytes), p[i]});
    }
    return words;
}

// ------------------------------------------------------------------- the program

int main(int argc, char **argv)
{
    try {
        if (argc != 2)
            throw std::runtime_error("give a model");
        const Model model = load(argv[1]);
        const Stream stream = stream_of(model);
        std::cout.precision(9);
        for (std::string line; std::getline(std::cin, line);) {
            for (const Word &word : complete(model, stream, line, 5))
                std::cout << word.probability << '\t' << word.text << '\n';
            std::cout << std::endl;
        }
    } catch (const std::exception &error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
}
