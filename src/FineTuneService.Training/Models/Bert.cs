using FineTuneService.Training.Models.Layers;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Models;

/// <summary>BERT (Devlin et al. 2018, arXiv:1810.04805): post-norm encoder, learned positions and segments.</summary>
[ModelType("bert")]
public record BertConfig : PretrainedConfig
{
    public required int HiddenSize { get; init; }
    public required int NumHiddenLayers { get; init; }
    public required int NumAttentionHeads { get; init; }
    public required int IntermediateSize { get; init; }
    public required int MaxPositionEmbeddings { get; init; }
    public string HiddenAct { get; init; } = "gelu";
    public double HiddenDropoutProb { get; init; } = 0.1;
    public double AttentionProbsDropoutProb { get; init; } = 0.1;
    public double? ClassifierDropout { get; init; }
    public double LayerNormEps { get; init; } = 1e-12;
    public int TypeVocabSize { get; init; } = 2;

    public override int MaxLength => MaxPositionEmbeddings;

    public override IReadOnlyDictionary<ModelHead, Func<PretrainedModel>> Heads => new Dictionary<ModelHead, Func<PretrainedModel>>
    {
        [ModelHead.SequenceClassification] = () => new BertForSequenceClassification(this),
    };
}

/// <summary>Word + position + segment, then norm and dropout.</summary>
internal sealed class BertEmbeddings : Module<ModelInputs, Tensor>
{
    private readonly Embedding word_embeddings, position_embeddings, token_type_embeddings;
    private readonly LayerNorm LayerNorm;
    private readonly double _dropout;

    public BertEmbeddings(BertConfig config) : base(nameof(BertEmbeddings))
    {
        word_embeddings = new(config.VocabSize, config.HiddenSize, config.PadTokenId);
        position_embeddings = new(config.MaxPositionEmbeddings, config.HiddenSize);
        token_type_embeddings = new(config.TypeVocabSize, config.HiddenSize);
        LayerNorm = new(config.HiddenSize, config.LayerNormEps);
        _dropout = config.HiddenDropoutProb;
        RegisterComponents();
    }

    public override Tensor forward(ModelInputs inputs)
    {
        var positions = arange(inputs.InputIds.size(1), dtype: ScalarType.Int64, device: inputs.InputIds.device);
        var types = inputs.TokenTypeIds ?? zeros_like(inputs.InputIds);
        var sum = word_embeddings.call(inputs.InputIds) + token_type_embeddings.call(types) + position_embeddings.call(positions); // [batch, seq, hidden]
        return functional.dropout(LayerNorm.call(sum), _dropout, training);
    }
}

internal sealed class BertSelfAttention : Module<Tensor, Tensor?, Tensor>
{
    private readonly Linear query, key, value;
    private readonly long _heads;
    private readonly double _dropout;

    public BertSelfAttention(BertConfig config) : base(nameof(BertSelfAttention))
    {
        (query, key, value) = (new(config.HiddenSize, config.HiddenSize), new(config.HiddenSize, config.HiddenSize), new(config.HiddenSize, config.HiddenSize));
        (_heads, _dropout) = (config.NumAttentionHeads, config.AttentionProbsDropoutProb);
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden, Tensor? mask) =>
        Attention.Bidirectional(query.call(hidden), key.call(hidden), value.call(hidden), _heads, mask, training ? _dropout : 0);
}

/// <summary>Projection, dropout, residual, norm: the end of the attention and of the feed-forward half.</summary>
internal sealed class BertOutput : Module<Tensor, Tensor, Tensor>
{
    private readonly Linear dense;
    private readonly LayerNorm LayerNorm;
    private readonly double _dropout;

    public BertOutput(BertConfig config, int inFeatures) : base(nameof(BertOutput))
    {
        dense = new(inFeatures, config.HiddenSize);
        LayerNorm = new(config.HiddenSize, config.LayerNormEps);
        _dropout = config.HiddenDropoutProb;
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden, Tensor residual) =>
        LayerNorm.call(functional.dropout(dense.call(hidden), _dropout, training) + residual);
}

internal sealed class BertAttention : Module<Tensor, Tensor?, Tensor>
{
    private readonly BertSelfAttention self;
    private readonly BertOutput output;

    public BertAttention(BertConfig config) : base(nameof(BertAttention))
    {
        self = new(config);
        output = new(config, config.HiddenSize);
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden, Tensor? mask) => output.call(self.call(hidden, mask), hidden);
}

internal sealed class BertIntermediate : Module<Tensor, Tensor>
{
    private readonly Linear dense;
    private readonly Func<Tensor, Tensor> _activation;

    public BertIntermediate(BertConfig config) : base(nameof(BertIntermediate))
    {
        dense = new(config.HiddenSize, config.IntermediateSize);
        _activation = Activations.Named(config.HiddenAct);
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden) => _activation(dense.call(hidden));
}

internal sealed class BertLayer : Module<Tensor, Tensor?, Tensor>
{
    private readonly BertAttention attention;
    private readonly BertIntermediate intermediate;
    private readonly BertOutput output;

    public BertLayer(BertConfig config) : base(nameof(BertLayer))
    {
        attention = new(config);
        intermediate = new(config);
        output = new(config, config.IntermediateSize);
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden, Tensor? mask)
    {
        var attended = attention.call(hidden, mask);
        return output.call(intermediate.call(attended), attended);
    }
}

internal sealed class BertEncoder : Module<Tensor, Tensor?, Tensor>
{
    private readonly ModuleList<BertLayer> layer;

    public BertEncoder(BertConfig config) : base(nameof(BertEncoder))
    {
        layer = new([.. Enumerable.Range(0, config.NumHiddenLayers).Select(_ => new BertLayer(config))]);
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden, Tensor? mask)
    {
        foreach (var block in layer)
            hidden = block.call(hidden, mask);
        return hidden;
    }
}

/// <summary>tanh of a projection of the first token, <c>[batch, seq, hidden] → [batch, hidden]</c>.</summary>
internal sealed class BertPooler : Module<Tensor, Tensor>
{
    private readonly Linear dense;

    public BertPooler(BertConfig config) : base(nameof(BertPooler))
    {
        dense = new(config.HiddenSize, config.HiddenSize);
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden) => tanh(dense.call(hidden.select(1, 0)));
}

internal sealed class BertModel : Module<ModelInputs, Tensor>
{
    private readonly BertEmbeddings embeddings;
    private readonly BertEncoder encoder;
    private readonly BertPooler pooler;

    public BertModel(BertConfig config) : base(nameof(BertModel))
    {
        (embeddings, encoder, pooler) = (new(config), new(config), new(config));
        RegisterComponents();
    }

    /// <returns>The pooled first token, <c>[batch, hidden]</c>.</returns>
    public override Tensor forward(ModelInputs inputs) =>
        pooler.call(encoder.call(embeddings.call(inputs), Attention.PaddingMask(inputs.AttentionMask)));
}

public sealed class BertForSequenceClassification : PretrainedModel
{
    private readonly BertModel bert;
    private readonly Linear classifier;
    private readonly double _dropout;

    public BertForSequenceClassification(BertConfig config) : base(config)
    {
        bert = new(config);
        classifier = new(config.HiddenSize, config.Labels.Count);
        _dropout = config.ClassifierDropout ?? config.HiddenDropoutProb;
        RegisterComponents();
    }

    public override string BaseModelPrefix => nameof(bert);

    /// <summary>Checkpoints of masked-language models have no pooler.</summary>
    public override bool IsNewForTask(string key) => base.IsNewForTask(key) || key.StartsWith("bert.pooler.", StringComparison.Ordinal);

    public override Tensor forward(ModelInputs inputs) => classifier.call(functional.dropout(bert.call(inputs), _dropout, training));
}
