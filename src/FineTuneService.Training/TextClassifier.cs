using FineTuneService.Contracts;
using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Data;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tasks;
using FineTuneService.Training.Tokenization;
using static TorchSharp.torch;

namespace FineTuneService.Training;

/// <summary>A fine-tuned classifier, warm: texts in, probabilities out.</summary>
public sealed class TextClassifier : IDisposable
{
    private const int BatchSize = 32;

    private readonly PretrainedModel _model;
    private readonly Tokenizer _tokenizer;
    private readonly Device _device;

    /// <param name="folder">A whole model, or an adapter.</param>
    /// <param name="baseFolder">Of an adapter whose base is not found by itself.</param>
    /// <exception cref="FaultException">When the folder holds no classifier.</exception>
    public TextClassifier(string folder, Device device, string? baseFolder = null)
    {
        _device = device;
        var opened = FineTunedFolder.Open(folder, baseFolder);
        _tokenizer = Tokenizer.Load(opened.TokenizerFolder);
        _model = opened.Load(ModelHead.SequenceClassification);
        _model.to(device);
        _model.eval();
    }

    public IReadOnlyList<string> Labels => _model.Config.Labels;

    public IReadOnlyList<Prediction> Predict(IReadOnlyList<PredictInput> inputs) =>
        [.. inputs.Chunk(BatchSize).SelectMany(Predict)];

    public void Dispose() => _model.Dispose();

    private Prediction[] Predict(PredictInput[] inputs)
    {
        using var _ = inference_mode();
        using var scope = NewDisposeScope();
        Encoding[] encodings = [.. inputs.Select(input => _tokenizer.Encode(input.Text, input.TextPair, maxLength: _model.Config.MaxLength))];
        var batch = TokenizedTexts.Pad(encodings, _tokenizer.PadTokenId ?? 0, withTypes: inputs.Any(input => input.TextPair is not null));
        var logits = _model.call(batch.To(_device)).to(ScalarType.Float32); // [batch, labels]
        var problemType = _model.Config.ProblemType ?? ProblemType.SingleLabelClassification;
        var scores = problemType switch
        {
            ProblemType.SingleLabelClassification => nn.functional.softmax(logits, -1),
            ProblemType.MultiLabelClassification => sigmoid(logits),
            _ => logits,
        };
        var rows = scores.cpu().contiguous().data<float>().ToArray().Chunk(Labels.Count);
        return [.. rows.Zip(encodings, (row, encoding) => Describe(problemType, row) with { TruncatedTokens = encoding.TruncatedTokens })];
    }

    private Prediction Describe(ProblemType problemType, float[] scores)
    {
        if (problemType == ProblemType.Regression)
            return new Prediction { Value = scores[0] };
        var probabilities = Labels.Zip(scores, (label, score) => KeyValuePair.Create(label, (double)score)).ToDictionary();
        return problemType == ProblemType.MultiLabelClassification
            ? new Prediction { Labels = [.. Labels.Where(label => probabilities[label] >= 0.5)], Probabilities = probabilities }
            : new Prediction { Label = Labels[Array.IndexOf(scores, scores.Max())], Probabilities = probabilities };
    }
}
