using System.ComponentModel.DataAnnotations;
using FineTuneService.Contracts;
using FineTuneService.Training.Data;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tokenization;

namespace FineTuneService.Training.Tasks;

/// <summary>Goes on with an encoder's pre-training on texts of a domain: hidden tokens are to be guessed (Gururangan et al. 2020, arXiv:2004.10964).</summary>
[SpecType("masked-lm")]
public sealed record MaskedLanguageModelConfig : TrainingTaskConfig
{
    /// <summary>Probability with which a token is hidden; at least one of a row always is.</summary>
    [Range(0.0, 1.0, MinimumIsExclusive = true, MaximumIsExclusive = true)]
    public double MlmProbability { get; init; } = 0.15;

    /// <summary>Hides all tokens of a word together.</summary>
    public bool WholeWordMasking { get; init; }

    /// <summary>
    /// Puts texts one after the other into rows of <c>max_length</c> tokens, so that nothing is padded and nothing cut off; a row may hold parts of several texts, which see each other.
    /// Default: a text is a row.
    /// </summary>
    public bool Packing { get; init; }

    public override ModelHead Head => ModelHead.MaskedLm;

    public override bool CanReplay => true;

    private protected override TrainingTaskConfig RowOptions => new MaskedLanguageModelConfig { Packing = Packing };

    private protected override void Check(Tokenizer tokenizer) => MaskOf(tokenizer);

    private protected override void Tokenize(DatasetSpec dataset, TrainingArguments arguments, Tokenizer tokenizer, DatasetDraft draft, PretrainedConfig? learnt) =>
        Tokenize(dataset, arguments, tokenizer, draft, Packing);

    private protected override TrainingTask Create(TokenizedDataset data, TrainingArguments arguments, Tokenizer tokenizer) => Create(data, arguments, tokenizer, MaskReplacement.Bert);

    internal static void Tokenize(DatasetSpec dataset, TrainingArguments arguments, Tokenizer tokenizer, DatasetDraft draft, bool packing)
    {
        var length = arguments.MaxLength.Resolved;
        var splits = DatasetSplits.Load(dataset, arguments.DataSeed ?? arguments.Seed, new MaskableTextReader(dataset.TextColumn!, tokenizer, packing ? null : length, draft).Read);
        StoredRow[] replayed = [.. Rows(splits.Replay)];
        draft.Write("train", Rows(splits.Train).Concat(replayed));
        draft.Write("validation", Rows(splits.Validation));
        draft.Write("test", Rows(splits.Test));
        draft.Facts = new()
        {
            Notes = [.. splits.Ledgers.Select(ledger => ledger.ToString())],
            TruncatedRows = splits.Train.Concat(splits.Replay).Count(text => text.TruncatedTokens > 0),
            TruncatedTokens = splits.Train.Concat(splits.Replay).Sum(text => (long)text.TruncatedTokens),
            ReplayRows = replayed.Length,
        };

        IEnumerable<StoredRow> Rows(IReadOnlyList<MaskableText> texts) =>
            packing ? MaskableText.Pack(texts.Select(text => text.Tokens), length, draft) : texts.Select(text => new StoredRow(text.Tokens));
    }

    internal MaskedLanguageModelTask Create(TokenizedDataset data, TrainingArguments arguments, Tokenizer tokenizer, MaskReplacement replacement)
    {
        var rule = new MaskingRule(MlmProbability, WholeWordMasking, replacement, MaskOf(tokenizer), tokenizer.VocabularySize, arguments.DataSeed ?? arguments.Seed);
        return new(data, rule, tokenizer.PaddingId ?? 0);
    }

    internal static int MaskOf(Tokenizer tokenizer) => tokenizer.MaskTokenId ?? throw new FaultException(
        "/base_model", null, "The tokenizer has no mask token to hide tokens behind.", "Choose a base model that was pre-trained by masking, such as a BERT or RoBERTa.");

    public override DatasetSpec ResolveColumns(DatasetSpec dataset, ColumnResolver columns) => dataset with
    {
        TextColumn = columns.Required("text_column", dataset.TextColumn, "text", "sentence", "content"),
    };

    public override IEnumerable<string> NeededColumns(DatasetSpec dataset) => new[] { dataset.TextColumn }.OfType<string>();

    public override void Check(DatasetProfile train, DatasetSpec dataset, FaultList faults)
    {
        if (train.Columns.FirstOrDefault(column => column.Name == dataset.TextColumn) is { } text)
            faults.Require(text.Empty < train.Rows, "/dataset/text_column", text.Name, "Every row of this column is empty.", "Name the column with the text.");
    }
}

public sealed class MaskedLanguageModelTask(TokenizedDataset data, MaskingRule rule, long padding) : TrainingTask
{
    public const string TokenAccuracy = "mean_token_accuracy";

    public override ExampleSet Train { get; } = new MaskedTexts(data.Train, rule, padding);

    public override ExampleSet? Validation { get; } = data.Validation is { } rows ? new MaskedTexts(rows, rule, padding) : null;

    public override ExampleSet? Test { get; } = data.Test is { } rows ? new MaskedTexts(rows, rule, padding) : null;

    public override (int Rows, long Tokens) Truncated => (data.Facts.TruncatedRows, data.Facts.TruncatedTokens);

    public override IEnumerable<string> Notes => data.Facts.Notes;

    public override TaskLoss Loss(PretrainedModel model, Batch batch) => Loss(model, batch, LabelSmoothing, KlToBase);

    public override Scorer CreateScorer() => new MaskedTokenScorer();

    private static TaskLoss Loss(PretrainedModel model, Batch batch, double smoothing, KlToBase? anchor = null)
    {
        var ofBase = anchor?.Ask(model, asked => asked.call(batch.Inputs));
        var logits = model.call(batch.Inputs); // [hidden tokens, vocabulary]
        var labels = batch.Labels.flatten().index_select(0, batch.Inputs.LogitPositions!);
        var loss = new TaskLoss(LanguageModelLoss.Sum(logits, labels, smoothing: smoothing, mayOverwrite: anchor is null))
        {
            Metrics = new Dictionary<string, torch.Tensor> { [TokenAccuracy] = logits.detach().argmax(-1).eq(labels).sum() },
        };
        return anchor is null ? loss : anchor.AddTo(loss, Tasks.KlToBase.Divergence(ofBase!, logits, labels).sum());
    }

    /// <summary>Means over the hidden tokens; perplexity is the exponential of the mean loss.</summary>
    private sealed class MaskedTokenScorer : Scorer
    {
        private double _loss, _hits, _targets;

        public override void Add(PretrainedModel model, Batch batch)
        {
            var sums = Loss(model, batch, smoothing: 0);
            _loss += sums.Sum.ToDouble();
            _hits += sums.Metrics[TokenAccuracy].ToDouble();
            _targets += batch.Targets;
        }

        public override Scores Compute() => new(new Dictionary<string, double>
        {
            ["loss"] = _loss / _targets,
            ["perplexity"] = LanguageModelLoss.Perplexity(_loss / _targets),
            [TokenAccuracy] = _hits / _targets,
        });
    }
}
