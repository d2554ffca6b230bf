using FineTuneService.Training.Data;
using FineTuneService.Training.Models;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tasks;

/// <summary>Accuracy over words, and where the labels are tags of entities, precision, recall and F1 over whole entities, all types together, as seqeval has them.</summary>
public sealed class TagScorer(IReadOnlyList<string> labels) : Scorer
{
    private readonly bool _hasEntities = Entities.AreTags(labels);
    private double _loss;
    private long _words, _rightWords, _predicted, _actual, _right;

    public override void Add(PretrainedModel model, Batch batch)
    {
        var logits = model.call(batch.Inputs); // [batch, seq, labels]
        _loss += LanguageModelLoss.Sum(logits, batch.Labels).ToDouble();
        var width = (int)batch.Labels.size(1);
        var rows = Numbers(logits.argmax(-1)).Chunk(width).Zip(Numbers(batch.Labels).Chunk(width));
        foreach (var (predicted, actual) in rows)
            Add(Tags(predicted, actual), Tags(actual, actual));

        static long[] Numbers(Tensor values) => values.cpu().contiguous().data<long>().ToArray();
    }

    /// <summary>One row of words.</summary>
    public void Add(IReadOnlyList<string> predicted, IReadOnlyList<string> actual)
    {
        _words += actual.Count;
        _rightWords += predicted.Zip(actual).Count(pair => pair.First == pair.Second);
        if (!_hasEntities)
            return;
        List<Entity> found = Entities.Of(predicted), wanted = Entities.Of(actual);
        _predicted += found.Count;
        _actual += wanted.Count;
        _right += found.Intersect(wanted).Count();
    }

    public override Scores Compute()
    {
        var metrics = new Dictionary<string, double> { ["loss"] = Ratio(_loss, _words), ["accuracy"] = Ratio(_rightWords, _words) };
        if (_hasEntities)
            (metrics["precision"], metrics["recall"], metrics["f1"]) = (Ratio(_right, _predicted), Ratio(_right, _actual), Ratio(2 * _right, _predicted + _actual));
        return new(metrics);
    }

    private static double Ratio(double part, double whole) => whole == 0 ? 0 : part / whole;

    private string[] Tags(long[] ids, long[] actual) => [.. ids.Zip(actual).Where(pair => pair.Second != LanguageModelLoss.Ignored).Select(pair => labels[(int)pair.First])];
}
