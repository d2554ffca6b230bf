using FineTuneService.Contracts;
using FineTuneService.Training.Data;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tokenization;

namespace FineTuneService.Training.Tasks;

/// <summary>Predicts each token from those before it, where it is to be learnt: the same for raw text and for conversations.</summary>
/// <param name="chatTemplate">That the result is to be used with, in place of the base model's.</param>
public sealed class LanguageModelTask(TokenizedDataset data, long padding, string? chatTemplate) : TrainingTask
{
    public override ExampleSet Train { get; } = new TokenSequences(data.Train, padding);

    public override ExampleSet? Validation { get; } = data.Validation is { } rows ? new TokenSequences(rows, padding) : null;

    public override ExampleSet? Test { get; } = data.Test is { } rows ? new TokenSequences(rows, padding) : null;

    public override (int Rows, long Tokens) Truncated => (data.Facts.TruncatedRows, data.Facts.TruncatedTokens);

    public override IEnumerable<string> Notes => data.Facts.Notes;

    public override IReadOnlyList<TokenSample> Samples => data.Facts.Samples;

    public override string? ChatTemplate => chatTemplate;

    /// <summary>Writes rows of one text, or packed ones, with what they have in common as facts.</summary>
    internal static DatasetFacts Write(DatasetSplits<Stretch> splits, bool packing, Tokenizer tokenizer, int maxLength, DatasetDraft draft)
    {
        List<string> notes = [.. splits.Ledgers.Select(ledger => ledger.ToString())];
        var (training, replayed) = (Rows("training", splits.Train), Rows("replay", splits.Replay));
        draft.Write("train", training.Concat(replayed));
        draft.Write("validation", Rows("validation", splits.Validation));
        draft.Write("test", Rows("test", splits.Test));
        return new()
        {
            Notes = notes,
            ReplayRows = replayed.Count(),
            Samples = [.. splits.Train.Take(TokenSampleFile.Rows).Select(text => TokenSampleFile.Of("text", draft.Read(text), tokenizer))],
            FirstHeldOut = [.. splits.Validation.Take(LanguageModelTaskConfig.UsualPrompts).Select(draft.Read)],
        };

        IEnumerable<StoredRow> Rows(string name, IReadOnlyList<Stretch> texts)
        {
            if (!packing || texts.Count == 0)
                return texts.Select(text => new StoredRow(text));
            var rows = SequencePacking.BestFitDecreasing(texts, text => text.Length, maxLength);
            notes.Add(FormattableString.Invariant(
                $"{name}: {texts.Count} texts packed into {rows.Count} rows of at most {maxLength} tokens; {(double)texts.Sum(text => (long)text.Length) / ((long)rows.Count * maxLength):P1} full."));
            return rows.Select(row => new StoredRow(row, []));
        }
    }

    public override TaskLoss Loss(PretrainedModel model, Batch batch) => LossOf(model, batch, LabelSmoothing, KlToBase, batch.LossFactor);

    public override Scorer CreateScorer() => new LanguageModelScorer();

    private static TaskLoss LossOf(PretrainedModel model, Batch batch, double smoothing, KlToBase? anchor = null, double? factor = null) =>
        NextTokens.Of((CausalLanguageModel)model, batch, smoothing: smoothing, anchor: anchor, factor: factor).Sum(batch.Weights, anchor);

    private sealed class LanguageModelScorer() : MeanScorer((model, batch) => LossOf(model, batch, smoothing: 0))
    {
        public override Scores Compute()
        {
            var scores = base.Compute();
            return scores with { Metrics = new Dictionary<string, double>(scores.Metrics) { ["perplexity"] = LanguageModelLoss.Perplexity(scores.Metrics["loss"]) } };
        }
    }
}
