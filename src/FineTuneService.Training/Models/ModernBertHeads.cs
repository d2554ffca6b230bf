using FineTuneService.Training.Models.Layers;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Models;

/// <summary>What ModernBERT's models have in common: the base model under <c>model</c>, and truncated normals as first weights.</summary>
public abstract class ModernBertPreTrainedModel(ModernBertConfig config) : PretrainedModel(config)
{
    public override string BaseModelPrefix => "model";

    /// <summary>Layers that write into the residual stream start narrower, the deeper the model; classifiers by their width.</summary>
    protected override void Initialize(Module module, string name, Tensor parameter, Generator generator)
    {
        if (name == "bias" || module is LayerNorm)
        {
            base.Initialize(module, name, parameter, generator);
            return;
        }
        var deviation = module switch
        {
            _ when ReferenceEquals(module, Classifier) => Math.Pow(config.HiddenSize, -0.5),
            _ when IsResidual(module) => config.InitializerRange / Math.Sqrt(2.0 * config.NumHiddenLayers),
            _ => config.InitializerRange,
        };
        // A normal cut off at ± cutoff, by the inverse of its distribution function.
        var cutoff = config.InitializerCutoffFactor ?? 3;
        var edge = special.erf(tensor(cutoff / Math.Sqrt(2))).ToDouble();
        parameter.copy_(parameter.uniform_(-edge, edge, generator).erfinv().mul(deviation * Math.Sqrt(2)).clamp(-cutoff * deviation, cutoff * deviation));
    }

    private protected virtual Linear? Classifier => null;

    private bool IsResidual(Module module) => modules().Any(parent => parent switch
    {
        ModernBertMLP mlp => ReferenceEquals(module, mlp.Wo),
        ModernBertAttention attention => ReferenceEquals(module, attention.Wo),
        ModernBertPredictionHead head => ReferenceEquals(module, head.dense),
        _ => false,
    });
}

public sealed class ModernBertForMaskedLM : ModernBertPreTrainedModel
{
    private readonly ModernBertModel model;
    private readonly ModernBertPredictionHead head;
    private readonly TiedDecoder decoder;

    public ModernBertForMaskedLM(ModernBertConfig config) : base(config)
    {
        (model, head, decoder) = (new(config), new(config), new(config.VocabSize, config.DecoderBias));
        RegisterComponents();
    }

    public override IReadOnlyDictionary<string, string> StoredCopies { get; } = new Dictionary<string, string>
    {
        ["model.embeddings.tok_embeddings.weight"] = "decoder.weight",
    };

    public override Tensor forward(ModelInputs inputs) => decoder.call(head.call(inputs.Kept(model.call(inputs))), model.WordEmbeddings);
}

public sealed class ModernBertForSequenceClassification : ModernBertPreTrainedModel
{
    private readonly ModernBertModel model;
    private readonly ModernBertPredictionHead head;
    private readonly Linear classifier;
    private readonly double _dropout;
    private readonly bool _pooledByMean;

    public ModernBertForSequenceClassification(ModernBertConfig config) : base(config)
    {
        (model, head, classifier) = (new(config), new(config), new(config.HiddenSize, config.Labels.Count));
        (_dropout, _pooledByMean) = (config.ClassifierDropout, config.ClassifierPooling == "mean");
        RegisterComponents();
    }

    private protected override Linear Classifier => classifier;

    public override Tensor forward(ModelInputs inputs)
    {
        var hidden = model.call(inputs); // [batch, seq, hidden]
        var pooled = (_pooledByMean, inputs.AttentionMask) switch // [batch, hidden]
        {
            (false, _) => hidden.select(1, 0),
            (true, null) => hidden.mean([1]),
            (true, var mask) => (hidden * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim: true),
        };
        return classifier.call(FastDropout.Of(head.call(pooled), _dropout, training));
    }
}

public sealed class ModernBertForTokenClassification : ModernBertPreTrainedModel
{
    private readonly ModernBertModel model;
    private readonly ModernBertPredictionHead head;
    private readonly Linear classifier;
    private readonly double _dropout;

    public ModernBertForTokenClassification(ModernBertConfig config) : base(config)
    {
        (model, head, classifier) = (new(config), new(config), new(config.HiddenSize, config.Labels.Count));
        _dropout = config.ClassifierDropout;
        RegisterComponents();
    }

    private protected override Linear Classifier => classifier;

    public override Tensor forward(ModelInputs inputs) => classifier.call(FastDropout.Of(head.call(model.call(inputs)), _dropout, training));
}
