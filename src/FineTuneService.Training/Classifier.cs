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

    public IReadOnlyList<Prediction> Predict(IReadOnlyList<PredictInput> inputs) =>
        [.. inputs.Chunk(BatchSize).SelectMany(batch =>
        {
            HostMemory.Collect();
            using var _ = inference_mode();
            using var scope = NewDisposeScope();
            return Predict(batch);
        })];

    public void Dispose()
    {
        Model.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>One batch, without gradients; its tensors are freed afterwards.</summary>
    protected abstract Prediction[] Predict(PredictInput[] inputs);
}
