using System.ComponentModel.DataAnnotations;
using FineTuneService.Contracts;
using FineTuneService.Training.Data;
using FineTuneService.Training.Methods;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tokenization;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tasks;

/// <summary>
/// ELECTRA's pre-training (Clark et al. 2020, arXiv:2003.10555): a small generator fills hidden tokens in, and the model learns to tell which tokens were replaced.
/// The result is the discriminator.
/// </summary>
[SpecType("replaced-token-detection")]
public sealed record ReplacedTokenDetectionConfig : TrainingTaskConfig
{
    /// <summary>Probability with which a token is hidden from the generator; at least one of a row always is.</summary>
    [Range(0.0, 1.0, MinimumIsExclusive = true, MaximumIsExclusive = true)]
    public double MlmProbability { get; init; } = 0.15;

    /// <summary>Puts texts one after the other into rows of <c>max_length</c> tokens, as in <c>masked-lm</c>.</summary>
    public bool Packing { get; init; }

    /// <summary>How much the discriminator's loss counts beside the generator's.</summary>
    [Range(0.0, 1000.0, MinimumIsExclusive = true)]
    public double DiscriminatorWeight { get; init; } = 50;

    public GeneratorConfig Generator { get; init; } = new();

    public override ModelHead Head => ModelHead.ReplacedTokenDetection;

    public override bool CanReplay => true;

    public override void CheckMethod(TrainingMethodConfig method, FaultList faults) => faults.Require(
        method is FullFineTuningConfig, "/method", Catalog.NameOf(method), "The generator is drawn, and trained whole beside the model: an adapter has no place for it.", "Set method to full, and freeze what is to stay.");

    public override void CheckTraining(TrainingArguments training, FaultList faults) => faults.Require(
        training.LabelSmoothingFactor == 0, "/training/label_smoothing_factor", training.LabelSmoothingFactor, "Whether a token was replaced is no class to smooth.", "Leave it out.");

    private MaskedLanguageModelConfig Masked => new() { MlmProbability = MlmProbability, Packing = Packing };

    private protected override TrainingTaskConfig RowOptions => new MaskedLanguageModelConfig { Packing = Packing };

    private protected override void Tokenize(DatasetSpec dataset, TrainingArguments arguments, Tokenizer tokenizer, DatasetDraft draft, PretrainedConfig? learnt) =>
        MaskedLanguageModelConfig.Tokenize(dataset, arguments, tokenizer, draft, Packing);

    private protected override TrainingTask Create(TokenizedDataset data, TrainingArguments arguments, Tokenizer tokenizer) =>
        new ReplacedTokenDetectionTask(Masked.Create(data, arguments, tokenizer, MaskReplacement.Electra), DiscriminatorWeight, Generator);

    private protected override void Check(Tokenizer tokenizer) => MaskedLanguageModelConfig.MaskOf(tokenizer);

    public override DatasetSpec ResolveColumns(DatasetSpec dataset, ColumnResolver columns) => new MaskedLanguageModelConfig().ResolveColumns(dataset, columns);

    public override IEnumerable<string> NeededColumns(DatasetSpec dataset) => new MaskedLanguageModelConfig().NeededColumns(dataset);

    public override void Check(DatasetProfile train, DatasetSpec dataset, FaultList faults) => new MaskedLanguageModelConfig().Check(train, dataset, faults);
}

public sealed record GeneratorConfig
{
    /// <summary>Width, heads and feed-forward width as a share of the discriminator's; the paper finds a quarter to a half best.</summary>
    [Range(0.0, 1.0, MinimumIsExclusive = true)]
    public double Size { get; init; } = 0.25;

    /// <summary>Whether generator and discriminator read the same embeddings.</summary>
    public bool ShareEmbeddings { get; init; } = true;
}

public sealed class ReplacedTokenDetectionTask(MaskedLanguageModelTask masked, double discriminatorWeight, GeneratorConfig generator) : TrainingTask
{
    private const string MlmLoss = "mlm_loss", RtdLoss = "rtd_loss", RtdAccuracy = "rtd_accuracy";

    public override ExampleSet Train => masked.Train;

    public override ExampleSet? Validation => masked.Validation;

    public override ExampleSet? Test => masked.Test;

    public override (int Rows, long Tokens) Truncated => masked.Truncated;

    public override IEnumerable<string> Notes => masked.Notes;

    public override PretrainedConfig Configure(PretrainedConfig config) =>
        config is ElectraConfig electra ? electra with { Generator = new(generator.Size, generator.ShareEmbeddings) } : config;

    public override TaskLoss Loss(PretrainedModel model, Batch batch) => Loss(model, batch, null);

    public override Scorer CreateScorer() => new ReplacedTokenScorer(this);

    /// <summary>Both losses are means over tokens of their own: the hidden ones, and all. The sum is scaled so that its mean over the hidden ones is mlm + weight · rtd.</summary>
    private TaskLoss Loss(PretrainedModel model, Batch batch, Generator? random)
    {
        var pair = (ElectraPair)model;
        var hidden = batch.Inputs.LogitPositions!; // [kept]
        var logits = pair.Generate(batch.Inputs); // [kept, vocabulary]
        var originals = batch.Labels.flatten().index_select(0, hidden);
        var mlm = LanguageModelLoss.Sum(logits, originals, mayOverwrite: true);
        var original = Filled(originals); // [batch, seq]
        var filled = Filled(Sample(logits.detach().to(ScalarType.Float32), random));
        var replaced = filled.ne(original).to(ScalarType.Int64);
        var labels = batch.Inputs.AttentionMask is { } mask ? replaced.masked_fill(mask.eq(0), LanguageModelLoss.Ignored) : replaced;
        var verdicts = pair.call(batch.Inputs with { InputIds = filled }); // [batch, seq]
        var share = batch.Targets / batch.Tokens;
        var rtd = ReplacedTokenLoss.Sum(verdicts, labels) * share;
        return new(mlm + discriminatorWeight * rtd)
        {
            Metrics = new Dictionary<string, Tensor>
            {
                [MlmLoss] = mlm,
                [RtdLoss] = rtd,
                [RtdAccuracy] = verdicts.detach().ge(0).to(ScalarType.Int64).eq(labels).sum() * share,
            },
        };

        Tensor Filled(Tensor tokens) => batch.Inputs.InputIds.flatten().index_copy(0, hidden, tokens).reshape(batch.Labels.shape);
    }

    /// <summary>A token for every place by the generator's probabilities: the highest logit after Gumbel noise (Maddison et al. 2014, arXiv:1411.0030).</summary>
    private static Tensor Sample(Tensor logits, Generator? random)
    {
        var uniform = rand(logits.shape, logits.dtype, device: logits.device, generator: random).clamp(1e-9, 1 - 1e-7);
        return (logits - log(-log(uniform))).argmax(-1);
    }

    private sealed class ReplacedTokenScorer(ReplacedTokenDetectionTask task) : Scorer
    {
        private readonly Dictionary<string, double> _sums = new() { ["loss"] = 0 };
        private Generator? _random;
        private double _targets;

        public override void Add(PretrainedModel model, Batch batch)
        {
            _random ??= new Generator(0, batch.Labels.device); // the same fillings at every evaluation of the same weights
            var sums = task.Loss(model, batch, _random);
            _targets += batch.Targets;
            _sums["loss"] += sums.Sum.ToDouble();
            foreach (var (name, sum) in sums.Metrics)
                _sums[name] = _sums.GetValueOrDefault(name) + sum.ToDouble();
        }

        public override Scores Compute() => new(_sums.ToDictionary(sum => sum.Key, sum => sum.Value / _targets));
    }
}
