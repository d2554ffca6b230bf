using System.Security.Cryptography;
using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Data;
using FineTuneService.Training.Models;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tasks;

/// <summary>
/// What the base model makes of the answers, computed before the first step and kept in the run's folder: a resumed run compares with the same numbers, to the bit.
/// It is the model as training finds it, as in TRL: an untrained adapter changes nothing, so that is the base with the adapter off; one that is continued is compared with itself.
/// </summary>
internal static class ReferenceLogProbabilities
{
    private const string Fingerprint = "fingerprint";

    /// <summary>Log-probability of each row's answer, <c>[rows]</c>.</summary>
    public static Tensor OfAnswers(PretrainedModel model, Batch batch) => -NextTokens.Of((CausalLanguageModel)model, batch).Losses.sum(1);

    /// <summary>Gives every split its references: from <paramref name="file"/> where it was made of the same model and pairs, computed otherwise.</summary>
    public static void Compute(PretrainedModel model, IReadOnlyDictionary<string, PreferencePairs> splits, string file, int batchSize, Device device)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var fingerprint = FingerprintOf(model, splits);
        if (File.Exists(file) && SafetensorsReader.ReadHeaders(file).Metadata.GetValueOrDefault(Fingerprint) == fingerprint)
        {
            using var stored = SafetensorsReader.Open(file);
            foreach (var (name, pairs) in splits)
                pairs.References = References(stored.Read(name));
            return;
        }
        var wasTraining = model.training;
        model.eval();
        var computed = splits.Select(split => (split.Key, Compute(model, split.Value, batchSize, device))).ToList();
        model.train(wasTraining);
        SafetensorsWriter.Write(file, computed, new Dictionary<string, string> { [Fingerprint] = fingerprint });
        foreach (var (name, references) in computed)
            splits[name].References = References(references);
    }

    /// <returns><c>[pairs, 2]</c>: chosen and rejected.</returns>
    private static Tensor Compute(PretrainedModel model, PreferencePairs pairs, int batchSize, Device device)
    {
        var references = zeros(pairs.Count, 2);
        foreach (var (rows, batch) in DataLoader.ByLength(pairs, batchSize))
        {
            using var scope = NewDisposeScope();
            using (batch)
                references.index_copy_(0, tensor(rows, ScalarType.Int64), OfAnswers(model, batch.To(device)).reshape(2, -1).T.cpu());
        }
        return references;
    }

    private static (float, float)[] References(Tensor references) => [.. references.data<float>().ToArray().Chunk(2).Select(pair => (pair[0], pair[1]))];

    /// <summary>Of the pairs' tokens, and of the model's weights by their sum.</summary>
    private static string FingerprintOf(PretrainedModel model, IReadOnlyDictionary<string, PreferencePairs> splits)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var (name, parameter) in model.named_parameters())
            hash.AppendData(System.Text.Encoding.UTF8.GetBytes(FormattableString.Invariant($"{name} {parameter.sum(ScalarType.Float64).ToDouble():R}\n")));
        foreach (var (name, pairs) in splits)
        {
            hash.AppendData(System.Text.Encoding.UTF8.GetBytes(name));
            pairs.AppendTo(hash);
        }
        return Convert.ToHexString(hash.GetHashAndReset());
    }
}
