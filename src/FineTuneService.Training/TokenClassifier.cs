using System.Text;
using FineTuneService.Contracts;
using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Data;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tasks;
using static TorchSharp.torch;
using Encoding = FineTuneService.Training.Tokenization.Encoding;

namespace FineTuneService.Training;

/// <summary>Entities in texts, or a class for every word where the labels are no tags of entities. A word gets what its first token gets, as it was learnt.</summary>
public sealed class TokenClassifier(FineTunedFolder folder, Device device) : Classifier(folder, ModelHead.TokenClassification, device)
{
    private readonly bool _hasEntities = Entities.AreTags(folder.Config.Labels);

    protected override Prediction[] Predict(PredictInput[] inputs, PredictRequest request)
    {
        Encoding[] encodings = [.. inputs.Select(input => Tokenizer.Encode(input.Text, maxLength: Model.Config.MaxLength))];
        var batch = TokenizedTexts.Pad(encodings, Tokenizer.PaddingId ?? 0, withTypes: false);
        var probabilities = nn.functional.softmax(Model.call(batch.To(Device)).to(ScalarType.Float32), -1); // [batch, seq, labels]
        var (scores, classes) = probabilities.max(-1);
        var width = (int)batch.InputIds.size(1);
        var rows = classes.cpu().contiguous().data<long>().ToArray().Chunk(width).Zip(scores.cpu().contiguous().data<float>().ToArray().Chunk(width));
        return [.. rows.Zip(inputs.Zip(encodings), (row, input) => Describe(input.First.Text, input.Second, row.First, row.Second))];
    }

    private Prediction Describe(string text, Encoding encoding, long[] classes, float[] scores)
    {
        Rune[] runes = [.. text.EnumerateRunes()];
        var words = TextWords.Of(runes);
        var owners = TextWords.Align(encoding, runes, words);
        var firsts = Enumerable.Range(0, owners.Length).Where(token => TextWords.BeginsWord(owners, token)).ToArray();
        string[] tags = [.. firsts.Select(token => Labels[(int)classes[token]])];
        var entities = _hasEntities ? Entities.Of(tags) : [.. tags.Select((tag, at) => new Entity(tag, at, at + 1))];
        return new() { Entities = [.. entities.Select(Describe)], TruncatedTokens = encoding.TruncatedTokens };

        PredictedEntity Describe(Entity entity)
        {
            var (start, end) = (words[owners[firsts[entity.Start]]].Start, words[owners[firsts[entity.End - 1]]].End);
            return new(entity.Type, start, end, string.Concat(runes[start..end]), firsts[entity.Start..entity.End].Average(token => (double)scores[token]));
        }
    }
}
