using System.ComponentModel.DataAnnotations;
using FineTuneService.Contracts;
using FineTuneService.Training.Data;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tokenization;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tasks;

/// <summary>Direct preference optimization: learns from pairs of answers which of the two is liked, and stays near the base model.</summary>
[SpecType("dpo")]
public sealed record DpoConfig : TrainingTaskConfig
{
    /// <summary>How strongly the model is held to the base model: the larger, the nearer.</summary>
    [Range(0.0, 100.0, MinimumIsExclusive = true)]
    public double Beta { get; init; } = 0.1;

    public DpoLossType LossType { get; init; } = DpoLossType.Sigmoid;

    /// <summary>Share of pairs that are believed to be the wrong way round; only for <c>sigmoid</c>.</summary>
    [Range(0.0, 0.5, MaximumIsExclusive = true)]
    public double LabelSmoothing { get; init; }

    /// <summary>A Jinja template to use in place of the model's own.</summary>
    [Length(1, 262_144)]
    public string? ChatTemplate { get; init; }

    public override ModelHead Head => ModelHead.CausalLm;

    public override DatasetSpec ResolveColumns(DatasetSpec dataset, ColumnResolver columns) => dataset with
    {
        PromptColumn = columns.Optional("prompt_column", dataset.PromptColumn, "prompt", "instruction", "question"),
        ChosenColumn = columns.Required("chosen_column", dataset.ChosenColumn, "chosen"),
        RejectedColumn = columns.Required("rejected_column", dataset.RejectedColumn, "rejected"),
        ToolsColumn = columns.Optional("tools_column", dataset.ToolsColumn, "tools"),
    };

    public override IEnumerable<string> NeededColumns(DatasetSpec dataset) => new[] { dataset.PromptColumn, dataset.ChosenColumn, dataset.RejectedColumn }.OfType<string>();

    public override void Check(DatasetProfile train, DatasetSpec dataset, FaultList faults)
    {
        ExchangeTokenizer.Check(ChatTemplate, faults);
        faults.Require(
            LabelSmoothing == 0 || LossType == DpoLossType.Sigmoid, "/task/label_smoothing", LabelSmoothing, "Only the sigmoid loss knows label smoothing.", "Leave it out, or set loss_type to sigmoid.");
    }

    public override TrainingTask Load(DatasetSpec dataset, TrainingArguments arguments, Tokenizer tokenizer) => new DpoTask(this, dataset, arguments, tokenizer);
}

internal sealed class DpoTask : TrainingTask
{
    private readonly DpoConfig _config;
    private readonly int _maxLength;
    private readonly ExchangeTokenizer _tokenizer;
    private readonly IReadOnlyList<DataLedger> _ledgers;
    private readonly Dictionary<string, PreferencePairs> _splits = [];
    private int _truncatedRows;
    private long _truncatedTokens;

    public DpoTask(DpoConfig config, DatasetSpec dataset, TrainingArguments arguments, Tokenizer tokenizer)
    {
        (_config, _maxLength) = (config, arguments.MaxLength.Resolved);
        _tokenizer = new(tokenizer, ExchangeTokenizer.Template(config.ChatTemplate, tokenizer));
        var splits = DatasetSplits.Load(dataset, arguments.DataSeed ?? arguments.Seed, path => Read(path, new(dataset)));
        _ledgers = splits.Ledgers;
        foreach (var (name, pairs) in new[] { ("train", splits.Train), ("validation", splits.Validation), ("test", splits.Test) })
            if (pairs.Count > 0)
                _splits.Add(name, new(pairs, tokenizer.PadTokenId ?? tokenizer.EosTokenId ?? 0));
        Samples =
        [
            .. splits.Train.Take(TokenSampleFile.Rows).SelectMany(pair => new[] { TokenSampleFile.Of("chosen", pair.Chosen, tokenizer), TokenSampleFile.Of("rejected", pair.Rejected, tokenizer) }),
        ];
    }

    public override ExampleSet Train => _splits["train"];

    public override ExampleSet? Validation => _splits.GetValueOrDefault("validation");

    public override ExampleSet? Test => _splits.GetValueOrDefault("test");

    public override (int Rows, long Tokens) Truncated => (_truncatedRows, _truncatedTokens);

    public override IEnumerable<string> Notes => _ledgers.Select(ledger => ledger.ToString());

    public override IReadOnlyList<TokenSample> Samples { get; }

    public override string? ChatTemplate => _config.ChatTemplate;

    /// <summary>What the base model makes of every answer, once: no second copy of it is needed while training.</summary>
    public override void Prepare(PretrainedModel model, RunFolder folder, int batchSize, Device device) =>
        ReferenceLogProbabilities.Compute(model, _splits, Path.Combine(folder.Path, "reference_logps.safetensors"), batchSize, device);

    public override TaskLoss Loss(PretrainedModel model, Batch batch)
    {
        // As TRL's disable_dropout: what is compared with the base model must not be noisy.
        if (model.training)
            model.eval();
        var answers = ReferenceLogProbabilities.OfAnswers(model, batch); // [2 · pairs]
        var ratios = answers - batch.ReferenceLogProbabilities!;
        var lengths = LanguageModelLoss.Shifted(batch.Labels).ne(LanguageModelLoss.Ignored).sum(1);
        var (rewards, logps) = ((_config.Beta * ratios.detach()).chunk(2), answers.detach().chunk(2));
        return new(DpoLoss.Sum(_config.LossType, _config.Beta, _config.LabelSmoothing, ratios, lengths))
        {
            Metrics = new Dictionary<string, Tensor>
            {
                ["rewards/chosen"] = rewards[0].sum(),
                ["rewards/rejected"] = rewards[1].sum(),
                ["rewards/margins"] = (rewards[0] - rewards[1]).sum(),
                ["rewards/accuracies"] = rewards[0].gt(rewards[1]).sum().to(ScalarType.Float32),
                ["logps/chosen"] = logps[0].sum(),
                ["logps/rejected"] = logps[1].sum(),
            },
        };
    }

    public override Scorer CreateScorer() => new MeanScorer(Loss);

    private (List<Tokenized<PreferencePair>> Rows, DataLedger Ledger) Read(string path, PreferenceReader reader)
    {
        var ledger = new RowLedger(path);
        var rows = new List<Tokenized<PreferencePair>>();
        foreach (var (preference, whole) in ExchangeRows.Tokenize(reader.Read(ledger), Tokenize, preference => preference.Chosen.Line, ledger))
        {
            var kept = new PreferencePair(whole.Chosen.KeepStart(_maxLength), whole.Rejected.KeepStart(_maxLength));
            var lost = whole.Chosen.Length + whole.Rejected.Length - kept.Chosen.Length - kept.Rejected.Length;
            if (kept.Chosen.Targets == 0 || kept.Rejected.Targets == 0)
            {
                ledger.Drop(lost > 0 ? $"an answer begins after {_maxLength} tokens" : "nothing in an answer is to be learnt", preference.Chosen.Line);
                continue;
            }
            _truncatedRows += lost > 0 ? 1 : 0;
            _truncatedTokens += lost;
            rows.Add(new(HeldOut.KeyOf($"{preference.Chosen.Text}\0{preference.Rejected.Text}"), kept));
        }
        return (rows, ledger.Close(rows.Count, ("No pair is left to learn from.", $"See why rows were dropped; max_length is {_maxLength}.")));
    }

    private PreferencePair Tokenize(Preference preference) => new(_tokenizer.Tokenize(preference.Chosen), _tokenizer.Tokenize(preference.Rejected));
}
