using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training.Tokenization;

namespace FineTuneService.Training.Data;

/// <summary>Rows as tokens with their loss mask, kept with the run: whether a model learns to stop, and from what, can be seen before it has learnt.</summary>
internal static class TokenSampleFile
{
    public const int Rows = 3;

    public static TokenSample Of(string name, TokenSequence text, Tokenizer tokenizer) => new()
    {
        Name = name,
        Tokens = [.. text.Ids.Zip(text.Weights, (id, weight) => new SampleToken(id, tokenizer.IdToToken(id) ?? "", weight))],
    };

    /// <summary>Published by renaming, so that a reader never sees half a file.</summary>
    public static void Write(string path, IEnumerable<TokenSample> samples)
    {
        File.WriteAllLines(path + ".draft", samples.Select(sample => JsonSerializer.Serialize(sample, SnakeCaseJson.Options)));
        File.Move(path + ".draft", path, overwrite: true);
    }
}
