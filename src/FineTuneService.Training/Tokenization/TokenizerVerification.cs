using System.Text.Json;
using FineTuneService.Contracts;

namespace FineTuneService.Training.Tokenization;

/// <summary>How many golden values of one kind came out equal.</summary>
public sealed record VerifiedAspect(string Name, int Equal, int Total);

/// <summary>What a golden file showed.</summary>
/// <param name="Differences">The first few, in words.</param>
public sealed record TokenizerVerificationReport(IReadOnlyList<VerifiedAspect> Aspects, IReadOnlyList<string> Differences)
{
    public bool IsExact => Aspects.All(aspect => aspect.Equal == aspect.Total);
}

/// <summary>
/// Compares a tokenizer with a golden file, one JSON object a line: text, ids, with_special, offsets of ids in code points, decoded (of ids),
/// decoded_skip (of with_special, special tokens skipped) and pair: null, or text_pair, ids, type_ids, special_tokens_mask.
/// </summary>
public static class TokenizerVerification
{
    private const int MostDifferences = 10;

    private static readonly string[] AspectNames =
        ["ids", "with_special", "offsets", "decoded", "decoded_skip", "pair.ids", "pair.type_ids", "pair.special_tokens_mask"];

    private static readonly JsonSerializerOptions Json =
        new(SnakeCaseJson.Options) { RespectRequiredConstructorParameters = true, RespectNullableAnnotations = true };

    private sealed record Golden(string Text, int[] Ids, int[] WithSpecial, int[][] Offsets, string Decoded, string DecodedSkip, GoldenPair? Pair);

    private sealed record GoldenPair(string TextPair, int[] Ids, int[] TypeIds, int[] SpecialTokensMask);

    /// <exception cref="FaultException">When a line of the file is not as described; names it.</exception>
    public static TokenizerVerificationReport Verify(Tokenizer tokenizer, string file)
    {
        var equal = new int[AspectNames.Length];
        var total = new int[AspectNames.Length];
        List<string> differences = [];
        var line = 0;
        foreach (var json in File.ReadLines(file))
        {
            line++;
            foreach (var (aspect, expected, actual) in Compare(tokenizer, Read(json, file, line)))
            {
                total[aspect]++;
                if (expected == actual)
                    equal[aspect]++;
                else if (differences.Count < MostDifferences)
                    differences.Add($"{file}:{line}: {AspectNames[aspect]} should be {expected} but is {actual}");
            }
        }
        return new([.. AspectNames.Select((name, i) => new VerifiedAspect(name, equal[i], total[i]))], differences);
    }

    private static IEnumerable<(int Aspect, string Expected, string Actual)> Compare(Tokenizer tokenizer, Golden golden)
    {
        var bare = tokenizer.Encode(golden.Text, addSpecialTokens: false);
        yield return (0, Show(golden.Ids), Show(bare.Ids));
        yield return (1, Show(golden.WithSpecial), Show(tokenizer.Encode(golden.Text).Ids));
        yield return (2, Show(golden.Offsets), Show(bare.Offsets.Select(offset => new[] { offset.Start, offset.End })));
        yield return (3, Show(golden.Decoded), Show(tokenizer.Decode(golden.Ids)));
        yield return (4, Show(golden.DecodedSkip), Show(tokenizer.Decode(golden.WithSpecial, skipSpecialTokens: true)));
        if (golden.Pair is not { } pair)
            yield break;
        var both = tokenizer.Encode(golden.Text, pair.TextPair);
        yield return (5, Show(pair.Ids), Show(both.Ids));
        yield return (6, Show(pair.TypeIds), Show(both.TypeIds));
        yield return (7, Show(pair.SpecialTokensMask), Show(both.SpecialTokensMask));
    }

    private static string Show<T>(T value) => JsonSerializer.Serialize(value, Json);

    private static Golden Read(string json, string file, int line)
    {
        try
        {
            return JsonSerializer.Deserialize<Golden>(json, Json)!;
        }
        catch (JsonException error)
        {
            throw new FaultException($"{file}:{line}", null, $"This line is no golden case: {error.Message}", "Correct or remove the line.");
        }
    }
}
