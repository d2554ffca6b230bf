using System.ComponentModel.DataAnnotations;
using FineTuneService.Contracts;
using FineTuneService.Training.Data;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tokenization;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tasks;

/// <summary>Direct preference optimization: learns from pairs of answers which of the two is liked, and stays near the base model.</summary>
[SpecType("dpo")]
public sealed record DpoConfig : LanguageModelTaskConfig
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

    public override DatasetSpec ResolveColumns(DatasetSpec dataset, ColumnResolver columns)
    {
        var chosen = columns.Required("chosen_column", dataset.ChosenColumn, "chosen", PreferenceReader.OpenAiChosen);
        return dataset with
        {
            PromptColumn = chosen == PreferenceReader.OpenAiChosen
                ? columns.Optional("prompt_column", dataset.PromptColumn, "input")
                : columns.Optional("prompt_column", dataset.PromptColumn, "prompt", "instruction", "question"),
            ChosenColumn = chosen,
            RejectedColumn = columns.Required("rejected_column", dataset.RejectedColumn, "rejected", "non_preferred_output"),
            ToolsColumn = columns.Optional("tools_column", dataset.ToolsColumn, "tools"),
        };
    }

    public override IEnumerable<string> NeededColumns(DatasetSpec dataset) => new[] { dataset.PromptColumn, dataset.ChosenColumn, dataset.RejectedColumn }.OfType<string>();

    public override void Check(DatasetProfile train, DatasetSpec dataset, FaultList faults)
    {
        ExchangeTokenizer.Check(ChatTemplate, faults);
        faults.Require(
            LabelSmoothing == 0 || LossType == DpoLossType.Sigmoid, "/task/label_smoothing", LabelSmoothing, "Only the sigmoid loss knows label smoothing.", "Leave it out, or set loss_type to sigmoid.");
    }

    public override void CheckInit(WeightsFrom init, FaultList faults) => faults.Require(
        init == WeightsFrom.Pretrained, "/init", "config", "Preferences are learnt near the base model, and weights that are drawn say nothing to stay near.", "Set init to pretrained, and train the model with another task before.");

    public override void CheckTraining(TrainingArguments training, FaultList faults)
    {
        faults.Require(training.KlToBaseWeight == 0, "/training/kl_to_base_weight", training.KlToBaseWeight, "Preferences are learnt near the base model as it is.", "Set task.beta: the larger, the nearer.");
        faults.Require(training.LabelSmoothingFactor == 0, "/training/label_smoothing_factor", training.LabelSmoothingFactor, "Preferences are smoothed by an option of the task.", "Set task.label_smoothing.");
        faults.Require(
            training.NeftuneNoiseAlpha is null, "/training/neftune_noise_alpha", training.NeftuneNoiseAlpha, "What is compared with the base model must not be noisy.", "Leave it out.");
    }

    private protected override TrainingTaskConfig RowOptions => new DpoConfig { ChatTemplate = ChatTemplate };

    private protected override void Tokenize(DatasetSpec dataset, TrainingArguments arguments, Tokenizer tokenizer, DatasetDraft draft, PretrainedConfig? learnt)
    {
        var data = new DpoData(this, dataset, tokenizer, arguments.MaxLength.Resolved, draft);
        var splits = DatasetSplits.Load(dataset, arguments.DataSeed ?? arguments.Seed, data.Read);
        foreach (var (name, pairs) in new[] { ("train", splits.Train), ("validation", splits.Validation), ("test", splits.Test) })
            draft.Write(name, pairs.Select(pair => new StoredRow([pair.Chosen, pair.Rejected], [])));
        draft.Facts = new()
        {
            Notes = [.. splits.Ledgers.Select(ledger => ledger.ToString())],
            TruncatedRows = data.Truncated.Rows,
            TruncatedTokens = data.Truncated.Tokens,
            HasChats = data.HasChats,
            Samples = [.. splits.Train.Take(TokenSampleFile.Rows).SelectMany(pair => new[] { Sample("chosen", pair.Chosen), Sample("rejected", pair.Rejected) })],
            FirstHeldOut = [.. splits.Validation.Take(UsualPrompts).Select(pair => draft.Read(pair.Chosen))],
        };

        TokenSample Sample(string name, Stretch answer) => TokenSampleFile.Of(name, draft.Read(answer), tokenizer);
    }

    private protected override TrainingTask Create(TokenizedDataset data, TrainingArguments arguments, Tokenizer tokenizer) => new DpoTask(this, data, tokenizer.PaddingId ?? 0)
    {
        SamplePrompts = PromptsOf(data.Facts.FirstHeldOut, new(tokenizer, ExchangeTokenizer.Template(ChatTemplate, tokenizer)), data.Facts.HasChats, tokenizer, arguments.MaxLength.Resolved),
    };
}

internal sealed class DpoTask : TrainingTask
{
    private readonly DpoConfig _config;
    private readonly DatasetFacts _facts;
    private readonly Dictionary<string, PreferencePairs> _splits = [];

    public DpoTask(DpoConfig config, TokenizedDataset data, long padding)
    {
        (_config, _facts) = (config, data.Facts);
        foreach (var (name, pairs) in new[] { ("train", data.Train), ("validation", data.Validation), ("test", data.Test) })
            if (pairs is not null)
                _splits.Add(name, new(pairs, padding));
    }

    public override ExampleSet Train => _splits["train"];

    public override ExampleSet? Validation => _splits.GetValueOrDefault("validation");

    public override ExampleSet? Test => _splits.GetValueOrDefault("test");

    public override (int Rows, long Tokens) Truncated => (_facts.TruncatedRows, _facts.TruncatedTokens);

    public override IEnumerable<string> Notes => _facts.Notes;

    public override IReadOnlyList<TokenSample> Samples => _facts.Samples;

    public override string? ChatTemplate => _config.ChatTemplate;

    public override bool NeedsReference => true;

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
}

/// <summary>Reads the files of a job and fits their pairs into the maximal length.</summary>
internal sealed class DpoData(DpoConfig config, DatasetSpec dataset, Tokenizer tokenizer, int maxLength, DatasetDraft draft)
{
    private readonly PreferenceReader _reader = new(dataset);
    private readonly ExchangeTokenizer _tokenizer = new(tokenizer, ExchangeTokenizer.Template(config.ChatTemplate, tokenizer));

    /// <summary>Pairs cut, and the tokens lost by it, in all files read so far.</summary>
    public (int Rows, long Tokens) Truncated { get; private set; }

    /// <summary>Whether pairs that were read are conversations.</summary>
    public bool HasChats { get; private set; }

    /// <exception cref="FaultException">With file and line of each fault; or when nothing is left to learn.</exception>
    public (List<Tokenized<(Stretch Chosen, Stretch Rejected)>> Rows, DataLedger Ledger) Read(string path)
    {
        var ledger = new RowLedger(path);
        var rows = new List<Tokenized<(Stretch Chosen, Stretch Rejected)>>();
        foreach (var (preference, whole) in ExchangeRows.Tokenize(_reader.Read(ledger), Tokenize, preference => preference.Chosen.Line, ledger))
        {
            HasChats |= preference.Chosen is ChatExchange;
            var kept = new PreferencePair(whole.Chosen.KeepStart(maxLength), whole.Rejected.KeepStart(maxLength));
            var lost = whole.Chosen.Length + whole.Rejected.Length - kept.Chosen.Length - kept.Rejected.Length;
            if (kept.Chosen.Targets == 0 || kept.Rejected.Targets == 0)
            {
                ledger.Drop(lost > 0 ? $"an answer begins after {maxLength} tokens" : "nothing in an answer is to be learnt", preference.Chosen.Line);
                continue;
            }
            Truncated = (Truncated.Rows + (lost > 0 ? 1 : 0), Truncated.Tokens + lost);
            rows.Add(new(HeldOut.KeyOf($"{preference.Chosen.Text}\0{preference.Rejected.Text}"), (draft.Add(kept.Chosen), draft.Add(kept.Rejected))));
        }
        return (rows, ledger.Close(rows.Count, ("No pair is left to learn from.", $"See why rows were dropped; max_length is {maxLength}.")));
    }

    private PreferencePair Tokenize(Preference preference) => new(_tokenizer.Tokenize(preference.Chosen), _tokenizer.Tokenize(preference.Rejected));
}
