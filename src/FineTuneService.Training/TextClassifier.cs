using FineTuneService.Contracts;
using FineTuneService.Training.Assessment;
using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Data;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tasks;
using FineTuneService.Training.Tokenization;
using static TorchSharp.torch;

namespace FineTuneService.Training;

/// <summary>Probabilities of classes for whole texts, or numbers.</summary>
public sealed class TextClassifier(FineTunedFolder folder, Device device) : Classifier(folder, ModelHead.SequenceClassification, device)
{
    public override double? Temperature { get; } = CalibrationFile.Read(folder.Path)?.Temperature;

    protected override bool CanAbstain => ProblemType == ProblemType.SingleLabelClassification;

    private ProblemType ProblemType => Model.Config.ProblemType ?? ProblemType.SingleLabelClassification;

    protected override Prediction[] Predict(PredictInput[] inputs, PredictRequest request)
    {
        Encoding[] encodings = [.. inputs.Select(input => Tokenizer.Encode(input.Text, input.TextPair, maxLength: Model.Config.MaxLength))];
        var batch = TokenizedTexts.Pad(encodings, Tokenizer.PaddingId ?? 0, withTypes: inputs.Any(input => input.TextPair is not null));
        var logits = Model.call(batch.To(Device)).to(ScalarType.Float32); // [batch, labels]
        if (request.Calibrated && Temperature is { } temperature)
            logits /= temperature;
        var scores = ProblemType switch
        {
            ProblemType.SingleLabelClassification => nn.functional.softmax(logits, -1),
            ProblemType.MultiLabelClassification => sigmoid(logits),
            _ => logits,
        };
        var rows = scores.cpu().contiguous().data<float>().ToArray().Chunk(Labels.Count);
        return [.. rows.Zip(encodings, (row, encoding) => Describe(row, request.AbstainBelow) with { TruncatedTokens = encoding.TruncatedTokens })];
    }

    private Prediction Describe(float[] scores, double? abstainBelow)
    {
        if (ProblemType == ProblemType.Regression)
            return new Prediction { Value = scores[0] };
        var probabilities = Labels.Zip(scores, (label, score) => KeyValuePair.Create(label, (double)score)).ToDictionary();
        if (ProblemType == ProblemType.MultiLabelClassification)
            return new Prediction { Labels = [.. Labels.Where(label => probabilities[label] >= 0.5)], Probabilities = probabilities };
        return scores.Max() < abstainBelow
            ? new Prediction { Abstained = true, Probabilities = probabilities }
            : new Prediction { Label = Labels[Array.IndexOf(scores, scores.Max())], Probabilities = probabilities };
    }
}
