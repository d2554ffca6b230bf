using FineTuneService.Contracts;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tokenization;
using static TorchSharp.torch;

namespace FineTuneService.Training.Generation;

/// <summary>Prompts that a model in training continues at every evaluation.</summary>
/// <param name="Prompts">As the model reads them; at least one token each.</param>
/// <param name="Ends">Tokens that end a text, beside those that the model's files name.</param>
public sealed record SamplePrompts(IReadOnlyList<int[]> Prompts, int MaxNewTokens, IReadOnlyList<int> Ends);

/// <summary>Lets a model in training speak. Nothing is drawn, so training goes on as if it had not been asked.</summary>
/// <param name="model">What the base model's files say of generation.</param>
public sealed class SampleTexts(SamplePrompts prompts, Tokenizer tokenizer, GenerationSettings model)
{
    /// <summary>Of the model's own settings only the ends count: penalties and temperatures would hide what it has learnt.</summary>
    private readonly GenerationSettings _settings = new() { MaxNewTokens = prompts.MaxNewTokens, EosTokenIds = [.. model.EosTokenIds.Union(prompts.Ends)] };

    public IReadOnlyList<GeneratedSample> Generate(PretrainedModel trained, Device device)
    {
        var wasTraining = trained.training;
        trained.eval();
        var texts = new string[prompts.Prompts.Count];
        foreach (var piece in TextGenerator.Continue(trained, tokenizer, device, prompts.Prompts, _settings, seed: 0))
            texts[piece.Prompt] += piece.Text;
        trained.train(wasTraining);
        return [.. prompts.Prompts.Zip(texts, (prompt, text) => new GeneratedSample(tokenizer.Decode(prompt), text))];
    }
}
