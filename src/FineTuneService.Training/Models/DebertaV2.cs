using System.Text.Json;
using System.Text.Json.Serialization;
using FineTuneService.Contracts;
using FineTuneService.Training.Memory;
using FineTuneService.Training.Models.Layers;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Models;

/// <summary>
/// DeBERTa version 2 and 3 (He et al. 2020, arXiv:2006.03654; 2021, arXiv:2111.09543): attention over contents and over relative positions,
/// each with projections of its own or shared; far positions share buckets.
/// </summary>
[ModelType("deberta-v2")]
public sealed record DebertaV2Config : BertConfig
{
    public const string ContentToPosition = "c2p", PositionToContent = "p2c";

    public bool RelativeAttention { get; init; }
    public int MaxRelativePositions { get; init; } = -1;
    public int PositionBuckets { get; init; } = -1;
    public bool PositionBiasedInput { get; init; } = true;
    public bool ShareAttKey { get; init; }
    public string NormRelEbd { get; init; } = "none";
    public int ConvKernelSize { get; init; }
    [Size]
    public int? EmbeddingSize { get; init; }
    public double PoolerDropout { get; init; }
    public string PoolerHiddenAct { get; init; } = "gelu";
    public double? ClsDropout { get; init; }
    public bool Legacy { get; init; } = true;

    /// <summary>A list, or names joined by '|'.</summary>
    public JsonElement? PosAttType { get; init; }

    [JsonIgnore]
    public IReadOnlyList<string> PositionAttention => PosAttType switch
    {
        { ValueKind: JsonValueKind.Array } list => [.. list.EnumerateArray().Select(item => item.GetString()!)],
        { ValueKind: JsonValueKind.String } names => names.GetString()!.ToLowerInvariant().Split('|', StringSplitOptions.TrimEntries),
        _ => [],
    };

    /// <summary>The farthest relative position that is told apart.</summary>
    [JsonIgnore]
    public int MaxRelative => MaxRelativePositions < 1 ? MaxPositionEmbeddings : MaxRelativePositions;

    /// <summary>Rows of the relative embeddings on each side of 0.</summary>
    [JsonIgnore]
    public int Span => PositionBuckets > 0 ? PositionBuckets : MaxRelative;

    [JsonIgnore]
    public bool NormsRelativeEmbeddings => NormRelEbd.Split('|', StringSplitOptions.TrimEntries).Contains("layer_norm", StringComparer.OrdinalIgnoreCase);

    public override string BaseModelPrefix => "deberta";

    public override IReadOnlyDictionary<ModelHead, Func<PretrainedModel>> Heads => new Dictionary<ModelHead, Func<PretrainedModel>>
    {
        [ModelHead.SequenceClassification] = () => new DebertaV2ForSequenceClassification(Checked()),
        [ModelHead.TokenClassification] = () => new DebertaV2ForTokenClassification(Checked()),
        [ModelHead.MaskedLm] = () => new DebertaV2ForMaskedLM(Checked()),
    };

    internal override Value Draw(Sketch sketch, ModelHead head)
    {
        const string Embeddings = "deberta.embeddings", Encoder = "deberta.encoder";
        sketch.DropPadding();
        var sum = sketch.Embedding($"{Embeddings}.word_embeddings", VocabSize, HiddenSize);
        if (PositionBiasedInput)
            sum = sketch.Add(sum, sketch.Embedding($"{Embeddings}.position_embeddings", MaxPositionEmbeddings, HiddenSize, perRow: false));
        if (TypeVocabSize > 0)
            sum = sketch.Add(sum, sketch.Embedding($"{Embeddings}.token_type_embeddings", TypeVocabSize, HiddenSize));
        var normal = sketch.LayerNorm($"{Embeddings}.LayerNorm", sum, HiddenSize);
        var embedded = sketch.Dropout(sketch.Shape is { IsMasked: true, RealTokens: null } ? sketch.Run(normal) : normal, HiddenDropoutProb);
        var distances = RelativeAttention ? sketch.Table($"{Encoder}.rel_embeddings", 2 * Span, HiddenSize) : null;
        if (NormsRelativeEmbeddings && distances is not null)
            distances = sketch.LayerNorm($"{Encoder}.LayerNorm", distances, HiddenSize);
        var last = sketch.Blocks($"{Encoder}.layer", NumHiddenLayers, embedded, (_, name, input, shared) => DrawBlock(sketch, name, input, shared), distances);
        var hidden = sketch.Hidden(sketch.Padded(last));
        if (head == ModelHead.MaskedLm)
            return sketch.Loss(DrawPredictions(sketch, "cls.predictions", hidden, $"{Embeddings}.word_embeddings"), VocabSize);
        if (head == ModelHead.TokenClassification)
            return DrawClassifier(sketch, hidden, HiddenDropoutProb);
        var first = sketch.Dropout(sketch.Part(hidden, sketch.Shape.Rows * HiddenSize), PoolerDropout);
        return DrawClassifier(sketch, sketch.Activation(PoolerHiddenAct, sketch.Linear("pooler.dense", first, HiddenSize, HiddenSize)), ClsDropout ?? HiddenDropoutProb);
    }

    private Value DrawBlock(Sketch sketch, string name, Value input, Value? distances)
    {
        var self = $"{name}.attention.self";
        var (query, key, value) = (sketch.Run(Rows("query_proj")), Rows("key_proj"), Rows("value_proj"));
        Value? bias = null;
        if (distances is not null)
        {
            var (dropped, scaled) = (sketch.Dropout(distances, HiddenDropoutProb), sketch.Run(key));
            if (PositionAttention.Contains(ContentToPosition))
                bias = Score(query, Project(ShareAttKey ? "key_proj" : "pos_key_proj", dropped));
            if (PositionAttention.Contains(PositionToContent))
                bias = Score(scaled, Project(ShareAttKey ? "query_proj" : "pos_query_proj", dropped), bias);
            bias = bias is null ? null : sketch.Run(bias);
        }
        if (sketch.Shape.IsMasked && bias is not null)
            bias = sketch.Run(bias);
        return DrawHalves(sketch, name, input, sketch.Unpadded(sketch.Attention(query, key, value, new(NumAttentionHeads, AttentionProbsDropoutProb) { Bias = bias })));

        Value Rows(string what) => sketch.Padded(Project(what, input));

        Value Project(string what, Value given) => sketch.Linear($"{self}.{what}", given, HiddenSize, HiddenSize);

        Value Score(Value content, Value positions, Value? other = null)
        {
            var gathered = sketch.Gathered(content, positions, NumAttentionHeads, 2 * Span);
            return other is null ? sketch.Run(gathered) : sketch.Add(other, gathered);
        }
    }

    /// <exception cref="FaultException">When the file asks for parts that are not built here.</exception>
    private DebertaV2Config Checked()
    {
        const string Remedy = "Choose another checkpoint, such as deberta-v3-small, -base or -large.";
        var faults = new FaultList();
        faults.Require(ConvKernelSize == 0, "config.json#/conv_kernel_size", ConvKernelSize, "The convolution of DeBERTa v2 (xlarge) is not supported.", Remedy);
        faults.Require((EmbeddingSize ?? HiddenSize) == HiddenSize, "config.json#/embedding_size", EmbeddingSize, "Embeddings narrower than the layers are not supported.", Remedy);
        faults.Require(Legacy, "config.json#/legacy", Legacy, "Only transformers' default form (legacy) of this family's masked-language head is supported.", "Set legacy to true: the head is learnt anew.");
        faults.ThrowIfAny();
        return this;
    }
}

/// <summary>Words, and positions and segments where the file asks for them; padding becomes 0.</summary>
internal sealed class DebertaV2Embeddings : Module<ModelInputs, EncoderView, Tensor>
{
    internal readonly Embedding word_embeddings;
    private readonly Embedding? position_embeddings, token_type_embeddings;
    private readonly LayerNorm LayerNorm;
    private readonly double _dropout;

    public DebertaV2Embeddings(DebertaV2Config config) : base(nameof(DebertaV2Embeddings))
    {
        word_embeddings = new(config.VocabSize, config.HiddenSize, config.PadTokenId ?? 0);
        if (config.PositionBiasedInput)
            position_embeddings = new(config.MaxPositionEmbeddings, config.HiddenSize);
        if (config.TypeVocabSize > 0)
            token_type_embeddings = new(config.TypeVocabSize, config.HiddenSize);
        LayerNorm = new(config.HiddenSize, config.LayerNormEps);
        _dropout = config.HiddenDropoutProb;
        RegisterComponents();
    }

    public override Tensor forward(ModelInputs inputs, EncoderView view)
    {
        var sum = view.Embedded(word_embeddings, inputs.InputIds); // [batch, seq, hidden] or [tokens, hidden]
        if (position_embeddings is not null)
            sum += position_embeddings.call(view.Positions);
        if (token_type_embeddings is not null)
            sum += token_type_embeddings.call(view.Tokens(inputs.TokenTypeIds ?? zeros_like(inputs.InputIds)));
        var normal = LayerNorm.call(sum);
        return FastDropout.Of(inputs is { AttentionMask: { } mask, TokenPlaces: null } ? normal * mask.unsqueeze(-1) : normal, _dropout, training);
    }
}

internal sealed class DebertaV2Attention : Module<Tensor, DebertaV2View, Tensor>
{
    private readonly DisentangledSelfAttention self;
    private readonly BertOutput output;

    public DebertaV2Attention(DebertaV2Config config) : base(nameof(DebertaV2Attention))
    {
        (self, output) = (new(config), new(config, config.HiddenSize));
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden, DebertaV2View view) => output.call(self.call(hidden, view), hidden);
}

internal sealed class DebertaV2Layer : Module<Tensor, DebertaV2View, Tensor>
{
    private readonly DebertaV2Attention attention;
    private readonly BertIntermediate intermediate;
    private readonly BertOutput output;

    public DebertaV2Layer(DebertaV2Config config) : base(nameof(DebertaV2Layer))
    {
        (attention, intermediate, output) = (new(config), new(config), new(config, config.IntermediateSize));
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden, DebertaV2View view)
    {
        var attended = attention.call(hidden, view);
        return output.call(intermediate.call(attended), attended);
    }
}

internal sealed class DebertaV2Encoder : Module<Tensor, ModelInputs, EncoderView, Tensor>
{
    private readonly BlockList<DebertaV2Layer> layer;
    private readonly Embedding? rel_embeddings;
    private readonly LayerNorm? LayerNorm;
    private readonly DebertaV2Config _config;

    public DebertaV2Encoder(DebertaV2Config config) : base(nameof(DebertaV2Encoder))
    {
        _config = config;
        layer = new([.. Enumerable.Range(0, config.NumHiddenLayers).Select(_ => new DebertaV2Layer(config))]);
        if (config.RelativeAttention)
            rel_embeddings = new(2 * config.Span, config.HiddenSize);
        if (config.NormsRelativeEmbeddings)
            LayerNorm = new(config.HiddenSize, config.LayerNormEps);
        RegisterComponents();
    }

    /// <returns><c>[batch, seq, hidden]</c>.</returns>
    public override Tensor forward(Tensor hidden, ModelInputs inputs, EncoderView view)
    {
        var seen = inputs.AttentionMask?.to(ScalarType.Bool).unsqueeze(1); // [batch, 1, seq]
        var mask = seen is null ? null : seen.unsqueeze(2) & seen.unsqueeze(3);
        var buckets = rel_embeddings is null ? null : Buckets(inputs.InputIds.size(1), hidden.device);
        var distances = rel_embeddings is null ? null : LayerNorm?.call(rel_embeddings.weight) ?? rel_embeddings.weight;
        return view.Rows(layer.Run(hidden, distances, (block, input, shared) => block.call(input, new DebertaV2View(view, mask, buckets, shared))));
    }

    /// <summary>Query minus key, <c>[seq, seq]</c>: exact up to half the buckets, then in logarithmic steps up to the farthest.</summary>
    private Tensor Buckets(long length, Device device)
    {
        var positions = arange(length, dtype: ScalarType.Int64, device: device);
        var relative = positions.unsqueeze(1) - positions;
        if (_config.PositionBuckets <= 0)
            return relative;
        // In float32 and in this order, as the reference computes: a rounding decides where a bucket ends.
        var middle = _config.PositionBuckets / 2;
        var distance = relative.abs().clamp(min: middle - 1);
        var farthest = log(tensor((float)((_config.MaxRelative - 1) / (double)middle), device: device));
        var steps = ceil(log(distance.to(ScalarType.Float32) / middle) / farthest * (middle - 1)) + middle;
        return where(distance <= middle, relative.to(ScalarType.Float32), steps * relative.sign()).to(ScalarType.Int64);
    }
}

internal sealed class DebertaV2Model : Module<ModelInputs, Tensor>
{
    private readonly DebertaV2Embeddings embeddings;
    private readonly DebertaV2Encoder encoder;

    public DebertaV2Model(DebertaV2Config config) : base(nameof(DebertaV2Model))
    {
        (embeddings, encoder) = (new(config), new(config));
        RegisterComponents();
    }

    /// <summary><c>[vocabulary, hidden]</c>.</summary>
    public Tensor WordEmbeddings => embeddings.word_embeddings.weight;

    /// <returns>Hidden states of the last layer, <c>[batch, seq, hidden]</c>.</returns>
    public override Tensor forward(ModelInputs inputs)
    {
        var view = new EncoderView(inputs);
        return encoder.call(embeddings.call(inputs, view), inputs, view);
    }
}

/// <summary>A layer over the first token, <c>[batch, seq, hidden] → [batch, hidden]</c>.</summary>
internal sealed class ContextPooler : Module<Tensor, Tensor>
{
    private readonly Linear dense;
    private readonly Func<Tensor, Tensor> _activation;
    private readonly double _dropout;

    public ContextPooler(DebertaV2Config config) : base(nameof(ContextPooler))
    {
        dense = new(config.HiddenSize, config.HiddenSize);
        (_activation, _dropout) = (Activations.Named(config.PoolerHiddenAct), config.PoolerDropout);
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden) => _activation(dense.call(FastDropout.Of(hidden.select(1, 0), _dropout, training)));
}

public sealed class DebertaV2ForSequenceClassification : PretrainedModel
{
    private readonly DebertaV2Model deberta;
    private readonly ContextPooler pooler;
    private readonly Linear classifier;
    private readonly double _dropout;

    public DebertaV2ForSequenceClassification(DebertaV2Config config) : base(config)
    {
        (deberta, pooler, classifier) = (new(config), new(config), new(config.HiddenSize, config.Labels.Count));
        _dropout = config.ClsDropout ?? config.HiddenDropoutProb;
        RegisterComponents();
    }

    public override string BaseModelPrefix => nameof(deberta);

    public override Tensor forward(ModelInputs inputs) => classifier.call(FastDropout.Of(pooler.call(deberta.call(inputs)), _dropout, training));
}

public sealed class DebertaV2ForTokenClassification : PretrainedModel
{
    private readonly DebertaV2Model deberta;
    private readonly Linear classifier;
    private readonly double _dropout;

    public DebertaV2ForTokenClassification(DebertaV2Config config) : base(config)
    {
        (deberta, classifier) = (new(config), new(config.HiddenSize, config.Labels.Count));
        _dropout = config.HiddenDropoutProb;
        RegisterComponents();
    }

    public override string BaseModelPrefix => nameof(deberta);

    public override Tensor forward(ModelInputs inputs) => classifier.call(FastDropout.Of(deberta.call(inputs), _dropout, training));
}

public sealed class DebertaV2ForMaskedLM : PretrainedModel
{
    private readonly DebertaV2Model deberta;
    private readonly BertOnlyMLMHead cls;

    public DebertaV2ForMaskedLM(DebertaV2Config config) : base(config)
    {
        (deberta, cls) = (new(config), new(config));
        RegisterComponents();
    }

    public override string BaseModelPrefix => nameof(deberta);

    public override IReadOnlyDictionary<string, string> StoredCopies { get; } = new Dictionary<string, string>
    {
        ["cls.predictions.bias"] = "cls.predictions.decoder.bias",
        ["deberta.embeddings.word_embeddings.weight"] = "cls.predictions.decoder.weight",
    };

    public override Tensor forward(ModelInputs inputs) => cls.call(inputs.Kept(deberta.call(inputs)), deberta.WordEmbeddings);
}
