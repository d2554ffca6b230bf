using FineTuneService.Contracts;
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
    protected override Prediction[] Predict(PredictInput[] inputs)
    {
        Encoding[] encodings = [.. inputs.Select(input => Tokenizer.Encode(input.Text, input.TextPair, maxLength: Model.Config.MaxLength))];
        var batch = TokenizedTexts.Pad(encodings, Tokenizer.PaddingId ?? 0, withTypes: inputs.Any(input => input.TextPair is not null));
        var logits = Model.call(batch.To(Device)).to(ScalarType.Float32); // [batch, labels]
        var problemType = Model.Config.ProblemType ?? ProblemType.SingleLabelClassification;
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
