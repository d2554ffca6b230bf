using FineTuneService.Training.Data;
using FineTuneService.Training.Methods;
using FineTuneService.Training.Models;
using FineTuneService.Training.Models.Layers;
using static TorchSharp.torch;

namespace FineTuneService.Training.Checkpoints;

/// <summary>What the logits of a training row became after the detour over the disk; in manifest.json of each checkpoint.</summary>
/// <param name="ReadBackError">Largest absolute difference after the files were read into the trained model again; always 0.</param>
/// <param name="OpenedError">The same for a second model, opened from the folder alone with an adapter merged; null where that was not tried.</param>
/// <param name="Bound">What <paramref name="OpenedError"/> may be.</param>
public sealed record ExportProof(double ReadBackError, double? OpenedError, double Bound)
{
    /// <summary>What storing the weights in fewer bits changes: <see cref="OpenedError"/> is then measured from the rounded weights. Null where they are stored as they were trained.</summary>
    public RoundingLoss? Rounding { get; init; }

    public override string ToString() => FormattableString.Invariant(
        $"Before it was published, this checkpoint was read from disk again: its logits on a training row differ by {ReadBackError:G2} from those of the trained model{(OpenedError is { } error ? $", and by {error:G2} (at most {Bound:G2}) when opened anew" : "")}.{(Rounding is { } loss ? $" Its weights are stored as {loss.Dtype}, as the base model's are; that alone changes these logits by {loss.Error:G2}." : "")}");
}

/// <param name="Dtype">As in config.json.</param>
/// <param name="Error">Largest absolute difference of a logit.</param>
public sealed record RoundingLoss(string Dtype, double Error);

/// <summary>
/// Proves that the files of a checkpoint are the model, before anybody may have them. They are read into the trained model, which must change nothing;
/// and where memory allows, a second model is opened from the folder, as a user would.
/// </summary>
/// <param name="row">Makes a batch of one training row; what is in it matters little, as long as it is real.</param>
public sealed class ExportVerification(PretrainedModel model, ModelHead head, TrainedWeights weights, string baseFolder, Func<Batch> row, Device device)
{
    private const long LargestSecondModel = 1L << 30;

    /// <summary>Merging an adapter rounds every weight once more, to 24 bits or to 8; relative to the largest logit.</summary>
    private double Tolerance => model.ComputeType == ScalarType.Float32 ? 1e-4 : 0.1;

    /// <exception cref="InvalidDataException">When the files are not the model: a defect, and nothing is published.</exception>
    public ExportProof Prove(string folder)
    {
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        var wasTraining = model.training;
        model.eval();
        using var batch = row();
        var inputs = batch.To(device).Inputs;
        var logits = model.call(inputs);
        weights.Load(folder);
        var readBack = Distance(model.call(inputs), logits);
        var published = weights.StoredType == ScalarType.Float32 ? logits : Rounded(folder, inputs);
        double? opened = CanOpenAnother ? Distance(Open(folder, inputs), published) : null;
        model.train(wasTraining);
        var proof = new ExportProof(readBack, opened, Tolerance * Math.Max(1, logits.abs().max().to(ScalarType.Float32).ToDouble()))
        {
            Rounding = weights.StoredType == ScalarType.Float32 ? null : new(weights.StoredType.ToString().ToLowerInvariant(), Distance(published, logits)),
        };
        return readBack == 0 && (opened is null || opened <= proof.Bound) ? proof : throw new InvalidDataException($"A checkpoint's files are not the model that was trained: {proof}");
    }

    /// <summary>A quantised base computes something else than the full one, which an adapter goes with.</summary>
    private bool CanOpenAnother =>
        model.parameters().Sum(parameter => parameter.numel() * parameter.element_size()) <= LargestSecondModel && !model.modules().OfType<AdaptableLayer>().Any(layer => layer.Quantized is not null);

    /// <summary>Logits of the weights as they are published; the trained ones are read from the folder again.</summary>
    private Tensor Rounded(string folder, ModelInputs inputs)
    {
        foreach (var (_, tensor) in model.ExactState())
            tensor.copy_(tensor.to(weights.StoredType));
        model.Masters?.Refresh();
        var logits = model.call(inputs);
        weights.Load(folder);
        return logits;
    }

    private Tensor Open(string folder, ModelInputs inputs)
    {
        using var second = FineTunedFolder.Open(folder, baseFolder).Load(head);
        second.to(device);
        second.ComputeIn(model.ComputeType);
        second.eval();
        return second.call(inputs);
    }

    private static double Distance(Tensor actual, Tensor expected) => (actual - expected).abs().max().to(ScalarType.Float32).ToDouble();
}
