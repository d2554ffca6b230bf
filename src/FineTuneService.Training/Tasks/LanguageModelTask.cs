using FineTuneService.Contracts;
using FineTuneService.Training.Data;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tokenization;

namespace FineTuneService.Training.Tasks;

/// <summary>Predicts each token from those before it, where it is to be learnt: the same for raw text and for conversations.</summary>
public abstract class LanguageModelTask : TrainingTask
{
    private readonly List<string> _notes;

    /// <param name="packing">Whether rows of several texts are made.</param>
    private protected LanguageModelTask(DatasetSplits<TokenSequence> splits, bool packing, Tokenizer tokenizer, int maxLength)
    {
        _notes = [.. splits.Ledgers.Select(ledger => ledger.ToString())];
        Train = Rows("training", splits.Train)!;
        Validation = Rows("validation", splits.Validation);
        Test = Rows("test", splits.Test);
        Samples = [.. splits.Train.Take(TokenSampleFile.Rows).Select(text => TokenSampleFile.Of("text", text, tokenizer))];

        TokenSequences? Rows(string split, IReadOnlyList<TokenSequence> texts)
        {
            if (texts.Count == 0)
                return null;
            var rows = packing ? SequencePacking.BestFitDecreasing(texts, maxLength) : [.. texts.Select(text => (IReadOnlyList<TokenSequence>)[text])];
            if (packing)
                _notes.Add(FormattableString.Invariant(
                    $"{split}: {texts.Count} texts packed into {rows.Count} rows of at most {maxLength} tokens; {(double)texts.Sum(text => text.Length) / ((long)rows.Count * maxLength):P1} full."));
            return new(rows, tokenizer.PaddingId ?? 0);
        }
    }

    public override ExampleSet Train { get; }

    public override ExampleSet? Validation { get; }

    public override ExampleSet? Test { get; }

    public override IEnumerable<string> Notes => _notes;

    public override IReadOnlyList<TokenSample> Samples { get; }

    public override TaskLoss Loss(PretrainedModel model, Batch batch) => NextTokens.Of((CausalLanguageModel)model, batch, smoothing: LabelSmoothing).Sum(batch.Weights);

    public override Scorer CreateScorer() => new LanguageModelScorer();

    private static TaskLoss LossOf(PretrainedModel model, Batch batch) => NextTokens.Of((CausalLanguageModel)model, batch).Sum(batch.Weights);

    private sealed class LanguageModelScorer() : MeanScorer(LossOf)
    {
        public override Scores Compute()
        {
            var scores = base.Compute();
            return scores with { Metrics = new Dictionary<string, double>(scores.Metrics) { ["perplexity"] = Math.Exp(scores.Metrics["loss"]) } };
        }
    }
}
