using FineTuneService.Contracts;
using FineTuneService.Training.Generation;
using FineTuneService.Training.Models;
using TorchSharp;

namespace FineTuneService.Training.Tests.Generation;

public sealed class TextGeneratorTests : IDisposable
{
    private static readonly GenerationConfig Drawn = new() { MaxNewTokens = 30, Temperature = 1.2, TopK = 0, Seed = 11 };

    private readonly TinyModel _model = new();

    public void Dispose() => _model.Dispose();

    [Fact]
    public void Prompts_side_by_side_are_continued_as_each_alone()
    {
        using var generator = new TextGenerator(_model.Folder, torch.CPU);
        string[] prompts = ["a", "a longer prompt", "mid", "the longest of these prompts"];
        foreach (var config in new[] { new GenerationConfig { MaxNewTokens = 20 }, Drawn })
        {
            var together = generator.Generate(prompts, config, TestContext.Current.CancellationToken);

            Assert.All(prompts.Zip(together), pair => Assert.Equal(generator.Generate([pair.First], config, TestContext.Current.CancellationToken).Single(), pair.Second));
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData(""", "rope_parameters": { "rope_type": "dynamic", "factor": 4.0 }""")]
    [InlineData(""", "rope_parameters": { "rope_type": "longrope", "short_factor": [1.0, 1.0], "long_factor": [2.0, 5.0], "original_max_position_embeddings": 12 }""")]
    public void A_cache_changes_nothing(string rope)
    {
        using var model = new TinyModel(maxPositions: rope.Contains("dynamic", StringComparison.Ordinal) ? 16 : 64, extra: rope);
        using var generator = new TextGenerator(model.Folder, torch.CPU);

        var cached = Text(generator.Stream(["abc", "a longer one"], Drawn, cancel: TestContext.Current.CancellationToken));

        Assert.Equal(Text(generator.Stream(["abc", "a longer one"], Drawn, useCache: false, TestContext.Current.CancellationToken)), cached);
        Assert.True(cached.Length > 20);
    }

    [Fact]
    public void The_same_seed_draws_the_same_text()
    {
        using var generator = new TextGenerator(_model.Folder, torch.CPU);
        string Draw(long? seed) => generator.Generate(["once"], Drawn with { Seed = seed }, TestContext.Current.CancellationToken).Single();

        Assert.Equal(Draw(5), Draw(5));
        Assert.NotEqual(Draw(5), Draw(6));
        Assert.NotEqual(Draw(null), Draw(null));
    }

    [Fact]
    public void The_pieces_are_the_text_and_the_last_one_says_why_it_ends()
    {
        using var generator = new TextGenerator(_model.Folder, torch.CPU);
        var pieces = generator.Stream(["once", "upon"], Drawn, cancel: TestContext.Current.CancellationToken).ToList();

        Assert.Equal(generator.Generate(["once", "upon"], Drawn, TestContext.Current.CancellationToken), [Text(pieces.Where(piece => piece.Prompt == 0)), Text(pieces.Where(piece => piece.Prompt == 1))]);
        Assert.All(pieces.GroupBy(piece => piece.Prompt), prompt =>
        {
            var last = Assert.Single(prompt, piece => piece.FinishReason is not null);
            Assert.Same(prompt.Last(), last);
            Assert.Equal(4, last.PromptTokens);
            Assert.Equal(last.FinishReason == FinishReason.Length, last.CompletionTokens == 30);
        });
    }

    [Fact]
    public void The_models_limit_ends_a_text()
    {
        using var generator = new TextGenerator(_model.Folder, torch.CPU);

        var last = generator.Stream([new string('a', 60)], new() { MaxNewTokens = 100 }, cancel: TestContext.Current.CancellationToken).Last();

        Assert.Equal((FinishReason.Length, 4), (last.FinishReason, last.CompletionTokens));
    }

    [Fact]
    public void A_stop_string_is_found_across_tokens_and_left_out()
    {
        using var generator = new TextGenerator(_model.Folder, torch.CPU);
        var text = generator.Generate(["once"], Drawn, TestContext.Current.CancellationToken).Single();
        var stop = text.Substring(6, 3); // A token is a byte here.

        var stopped = generator.Stream(["once"], Drawn with { StopStrings = ["no such text", stop] }, cancel: TestContext.Current.CancellationToken).ToList();

        Assert.Equal(text[..text.IndexOf(stop, StringComparison.Ordinal)], Text(stopped));
        Assert.Equal(FinishReason.Stop, stopped[^1].FinishReason);
    }

    [Fact]
    public void A_prompt_that_fills_the_model_and_values_without_sense_are_told()
    {
        using var generator = new TextGenerator(_model.Folder, torch.CPU);

        var fault = Assert.Single(Assert.Throws<FaultException>(() => generator.Stream(["fits", new string('a', 64)], new(), cancel: TestContext.Current.CancellationToken)).Faults);
        Assert.Equal(("/prompts/1", "64 tokens"), (fault.Pointer, fault.Value));
        Assert.Contains("64", fault.Message);

        var faults = Assert.Throws<FaultException>(() => generator.Stream(["a"], new() { Temperature = 0, TopP = 2, MaxNewTokens = 0, StopStrings = [""] }, cancel: TestContext.Current.CancellationToken)).Faults;
        Assert.Equal(["/generation/max_new_tokens", "/generation/temperature", "/generation/top_p", "/generation/stop_strings"], faults.Select(entry => entry.Pointer));
    }

    [Fact]
    public void A_classifier_generates_nothing()
    {
        using var classifier = new TinyModel(head: ModelHead.SequenceClassification);
        var tied = Assert.Throws<FaultException>(() => new TextGenerator(classifier.Folder, torch.CPU));
        Assert.Equal("LlamaForSequenceClassification", tied.Faults.Single().Value);
    }

    [Fact]
    public void The_models_files_set_the_defaults_and_a_request_has_the_last_word()
    {
        File.WriteAllText(Path.Combine(_model.Folder, "generation_config.json"), """{ "do_sample": true, "temperature": 0.6, "top_p": 0.9, "eos_token_id": [3, 257] }""");
        using var generator = new TextGenerator(_model.Folder, torch.CPU);

        var asked = generator.Defaults.With(new() { TopP = 0.5, MaxNewTokens = 3 });

        Assert.Equal((true, 0.6, 0.5, 50, 3), (asked.DoSample, asked.Temperature, asked.TopP, asked.TopK, asked.MaxNewTokens));
        Assert.Equal([3, 257], asked.EosTokenIds);
        Assert.False(generator.Defaults.With(new() { DoSample = false, Temperature = 2 }).DoSample);
    }

    private static string Text(IEnumerable<GeneratedPiece> pieces) => string.Concat(pieces.Select(piece => piece.Text));
}
