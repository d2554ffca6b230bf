using System.Globalization;
using FineTuneService.Contracts;
using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Models;
using FineTuneService.Training.Native;
using FineTuneService.Training.Tokenization;
using static TorchSharp.torch;

namespace FineTuneService.Training;

/// <summary>A fine-tuned model with a head that judges, warm: texts in, predictions out.</summary>
public abstract class Classifier : IDisposable
{
    private const int BatchSize = 32;

    /// <exception cref="FaultException">When the folder holds no trained head: one drawn at random would answer, and mean nothing.</exception>
    protected Classifier(FineTunedFolder folder, ModelHead head, Device device)
    {
        Device = device;
        Tokenizer = Tokenizer.Load(folder.TokenizerFolder);
        Model = folder.Load(head);
        Model.to(device);
        Model.eval();
    }

    public IReadOnlyList<string> Labels => Model.Config.Labels;

    /// <summary>By which logits are divided where a request wants calibrated probabilities; null where the folder brings none.</summary>
    public virtual double? Temperature => null;

    /// <summary>Whether each text gets one class of several.</summary>
    protected virtual bool CanAbstain => false;

    protected PretrainedModel Model { get; }

    protected Tokenizer Tokenizer { get; }

    protected Device Device { get; }

    /// <summary>By the head that config.json names: of texts, or of tokens.</summary>
    /// <param name="folder">A whole model, or an adapter.</param>
    /// <param name="baseFolder">Of an adapter whose base is not found by itself.</param>
    /// <exception cref="FaultException">When the folder holds no trained head.</exception>
    public static Classifier Load(string folder, Device device, string? baseFolder = null)
    {
        var opened = FineTunedFolder.Open(folder, baseFolder);
        return opened.Config.Architecture?.EndsWith("ForTokenClassification", StringComparison.Ordinal) == true ? new TokenClassifier(opened, device) : new TextClassifier(opened, device);
    }

    public IReadOnlyList<Prediction> Predict(IReadOnlyList<PredictInput> inputs) => Predict(new PredictRequest { Inputs = inputs });

    /// <exception cref="FaultException">When the model has no classes that exclude each other, and the request wants it to abstain.</exception>
    public IReadOnlyList<Prediction> Predict(PredictRequest request)
    {
        if (request.AbstainBelow is { } least && !CanAbstain)
            throw new FaultException(
                "/abstain_below", least.ToString(CultureInfo.InvariantCulture), "This model does not choose one class of several, so nothing tells how sure it is.", "Leave it out, or ask a model for single_label_classification.");
        return [.. request.Inputs.Chunk(BatchSize).SelectMany(batch =>
        {
            HostMemory.Collect();
            using var _ = inference_mode();
            using var scope = NewDisposeScope();
            return Predict(batch, request);
        })];
    }

    public void Dispose()
    {
        Model.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>One batch, without gradients; its tensors are freed afterwards.</summary>
    protected abstract Prediction[] Predict(PredictInput[] inputs, PredictRequest request);
}
