using System.Text.Json.Serialization;
using FineTuneService.Training.Memory;
using FineTuneService.Training.Models.Layers;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Models;

/// <summary>
/// What the families after Llama have in common: rotary positions, RMS norms, shared key heads, and the names in their files.
/// A family says what its layers are and where it differs.
/// </summary>
public abstract record DecoderConfig : PretrainedConfig
{
    public required int HiddenSize { get; init; }
    public required int IntermediateSize { get; init; }
    public required int NumHiddenLayers { get; init; }
    public required int NumAttentionHeads { get; init; }
    [Size]
    public int? NumKeyValueHeads { get; init; }
    [Size]
    public int? HeadDim { get; init; }
    public string HiddenAct { get; init; } = "silu";
    public required int MaxPositionEmbeddings { get; init; }
    public double RmsNormEps { get; init; } = 1e-6;
    public bool TieWordEmbeddings { get; init; }
    public double AttentionDropout { get; init; }
    public double? ClassifierDropout { get; init; }
    public RopeParameters? RopeParameters { get; init; }
    public RopeParameters? RopeScaling { get; init; }
    public double? RopeTheta { get; init; }
    public double? PartialRotaryFactor { get; init; }

    /// <summary>What transformers' class names begin with.</summary>
    [JsonIgnore]
    public abstract string Family { get; }

    [JsonIgnore]
    public int HeadSize => HeadDim ?? HiddenSize / NumAttentionHeads;

    [JsonIgnore]
    public int KeyValueHeads => NumKeyValueHeads ?? NumAttentionHeads;

    /// <summary><see cref="RopeParameters"/>, with what older files keep outside of it.</summary>
    [JsonIgnore]
    public virtual RopeParameters Rope
    {
        get
        {
            var rope = RopeScaling ?? RopeParameters ?? new();
            return rope with { RopeTheta = rope.RopeTheta ?? RopeTheta, PartialRotaryFactor = rope.PartialRotaryFactor ?? PartialRotaryFactor };
        }
    }

    public override string BaseModelPrefix => "model";

    public override int MaxLength => Rope.MaxLength(MaxPositionEmbeddings);

    public override bool JudgesLastToken => true;

    /// <summary>Factor of the embeddings.</summary>
    [JsonIgnore]
    public virtual double EmbeddingScale => 1;

    /// <summary>Bound that tanh puts on the logits of the next token; null: none.</summary>
    [JsonIgnore]
    public virtual double? LogitSoftcap => null;

    /// <summary>True where attention computes its scores itself, and needs a mask even where a kernel would not.</summary>
    [JsonIgnore]
    internal virtual bool MasksExplicitly => false;

    /// <summary>How many tokens a token sees in this layer; null: all.</summary>
    public virtual int? Window(int layer) => null;

    /// <summary>What <c>layer_types</c> says of a layer, where the file has it.</summary>
    protected static bool IsSliding(IReadOnlyList<string>? layerTypes, int layer, bool otherwise) =>
        layerTypes is null ? otherwise : layerTypes[layer] == "sliding_attention";

    internal abstract Module<Tensor, AttentionContext, Tensor> CreateLayer(int layer);

    internal override Value Draw(Sketch sketch, ModelHead head)
    {
        var hidden = sketch.Embedding("model.embed_tokens", VocabSize, HiddenSize);
        if (EmbeddingScale != 1)
            hidden = sketch.Run(hidden);
        hidden = sketch.Hidden(sketch.RmsNorm("model.norm", sketch.Blocks("model.layers", NumHiddenLayers, hidden, (layer, name, input, _) => DrawLayer(sketch, layer, name, input)), HiddenSize));
        if (head == ModelHead.CausalLm)
            return sketch.NextTokenLoss(hidden, HiddenSize, VocabSize, states =>
            {
                var logits = TieWordEmbeddings ? sketch.Tied("model.embed_tokens", states, VocabSize, HiddenSize) : sketch.Linear("lm_head", states, HiddenSize, VocabSize, bias: false);
                return LogitSoftcap is null ? logits : sketch.Run(sketch.Activation("tanh", sketch.Run(logits)));
            });
        return head == ModelHead.SequenceClassification
            ? sketch.Loss(sketch.Linear("score", sketch.Part(hidden, sketch.Shape.Rows * HiddenSize), HiddenSize, Labels.Count, bias: false), Labels.Count)
            : sketch.Loss(sketch.Linear("score", sketch.Dropout(hidden, ClassifierDropout ?? 0.1), HiddenSize, Labels.Count), Labels.Count);
    }

    /// <summary>Llama's layer, with the parts that <paramref name="attention"/> names.</summary>
    private protected Value DrawLlamaLayer(Sketch sketch, string name, Value input, RotaryAttentionOptions attention, bool mlpBias = false)
    {
        var attended = sketch.Add(input, DrawAttention(sketch, $"{name}.self_attn", sketch.RmsNorm($"{name}.input_layernorm", input, HiddenSize), attention));
        return sketch.Add(attended, DrawMlp(sketch, $"{name}.mlp", sketch.RmsNorm($"{name}.post_attention_layernorm", attended, HiddenSize), HiddenAct, mlpBias));
    }

    private protected Value DrawMlp(Sketch sketch, string name, Value input, string activation, bool bias)
    {
        var gate = sketch.Activation(activation, sketch.Linear($"{name}.gate_proj", input, HiddenSize, IntermediateSize, bias));
        var gated = sketch.Multiply(gate, sketch.Linear($"{name}.up_proj", input, HiddenSize, IntermediateSize, bias));
        return sketch.Linear($"{name}.down_proj", gated, IntermediateSize, HiddenSize, bias);
    }

    private protected Value DrawAttention(Sketch sketch, string name, Value input, RotaryAttentionOptions options)
    {
        var query = sketch.Rotate(Project("q", options.Heads, normed: true));
        var key = sketch.Rotate(Project("k", options.KeyValueHeads, normed: true));
        var context = DrawCausal(sketch, query, key, Project("v", options.KeyValueHeads, normed: false), options);
        return sketch.Linear($"{name}.o_proj", context, options.Heads * options.HeadDim, HiddenSize, options.OutputBias);

        Value Project(string what, long heads, bool normed)
        {
            var projected = sketch.Linear($"{name}.{what}_proj", input, HiddenSize, heads * options.HeadDim, options.QkvBias);
            return normed && options.HeadNormEpsilon is not null ? sketch.RmsNorm($"{name}.{what}_norm", projected, options.HeadDim) : projected;
        }
    }

    /// <summary>See <see cref="Layers.Attention.Causal"/>.</summary>
    private protected static Value DrawCausal(Sketch sketch, Value query, Value key, Value value, RotaryAttentionOptions options)
    {
        var groups = options.Heads / options.KeyValueHeads;
        (key, value) = (sketch.Repeat(key, groups), sketch.Repeat(value, groups));
        if (options.Softcap is not null)
            return sketch.BoundedAttention(query, key, value, options.Heads, options.Dropout);
        var natural = Math.Sqrt(options.HeadDim);
        if (options.Scale is { } scale && Math.Abs(scale * natural - 1) >= 1e-12)
            query = sketch.Run(query);
        return sketch.Attention(query, key, value, new(options.Heads, options.Dropout) { Mask = options.Window < sketch.Shape.Length ? sketch.WindowMask : sketch.CausalMask });
    }

    internal abstract Value DrawLayer(Sketch sketch, int layer, string name, Value input);

    internal virtual RmsNorm CreateNorm() => new(HiddenSize, RmsNormEps);

    internal RotaryEmbedding CreateRotary()
    {
        Rope.Validate(HeadSize);
        return new(Rope, HeadSize, MaxPositionEmbeddings);
    }

    /// <summary>Llama's attention for this layer; families change a part of it.</summary>
    internal RotaryAttentionOptions Attention(int layer) => new()
    {
        Layer = layer,
        Hidden = HiddenSize,
        Heads = NumAttentionHeads,
        KeyValueHeads = KeyValueHeads,
        HeadDim = HeadSize,
        Window = Window(layer),
        Dropout = AttentionDropout,
    };

    public override long CacheRegime(long length) => CreateRotary().Regime(length);

    public override IReadOnlyDictionary<ModelHead, Func<PretrainedModel>> Heads => new Dictionary<ModelHead, Func<PretrainedModel>>
    {
        [ModelHead.CausalLm] = () => new DecoderForCausalLm(this),
        [ModelHead.SequenceClassification] = () => new DecoderForSequenceClassification(this),
        [ModelHead.TokenClassification] = () => new DecoderForTokenClassification(this),
    };
}

/// <summary>Embeddings, layers, norm.</summary>
internal sealed class DecoderModel : Module<ModelInputs, Tensor>
{
    internal readonly Embedding embed_tokens;
    private readonly BlockList<Module<Tensor, AttentionContext, Tensor>> layers;
    private readonly RmsNorm norm;
    private readonly DecoderConfig _config;
    private readonly RotaryEmbedding _rotary;

    public DecoderModel(DecoderConfig config) : base(nameof(DecoderModel))
    {
        embed_tokens = new(config.VocabSize, config.HiddenSize, config.PadTokenId);
        layers = new([.. Enumerable.Range(0, config.NumHiddenLayers).Select(config.CreateLayer)]);
        norm = config.CreateNorm();
        (_config, _rotary) = (config, config.CreateRotary());
        RegisterComponents();
    }

    /// <returns>Hidden states of the last layer, <c>[batch, seq, hidden]</c>.</returns>
    public override Tensor forward(ModelInputs inputs)
    {
        var windows = Enumerable.Range(0, _config.NumHiddenLayers).Select(_config.Window).Distinct();
        var context = new AttentionContext(inputs, _rotary, windows, _config.MasksExplicitly);
        var hidden = embed_tokens.call(inputs.InputIds);
        if (_config.EmbeddingScale != 1)
            hidden *= _config.EmbeddingScale;
        return norm.call(layers.Run(hidden, (layer, input) => layer.call(input, context)));
    }
}

/// <summary>The next token's logits. Tied: the embedding is the head, and is stored once.</summary>
public sealed class DecoderForCausalLm : CausalLanguageModel
{
    private readonly DecoderModel model;
    private readonly Linear? lm_head;
    private readonly DecoderConfig _config;

    public DecoderForCausalLm(DecoderConfig config) : base(config)
    {
        _config = config;
        model = new(config);
        if (!config.TieWordEmbeddings)
            lm_head = new(config.HiddenSize, config.VocabSize, bias: false);
        RegisterComponents();
    }

    public override string Architecture => $"{_config.Family}ForCausalLM";

    public override string BaseModelPrefix => nameof(model);

    public override Tensor Hidden(ModelInputs inputs) => model.call(inputs);

    public override Tensor Logits(Tensor hidden)
    {
        var logits = lm_head?.call(hidden) ?? functional.linear(hidden, model.embed_tokens.weight);
        return _config.LogitSoftcap is { } bound ? tanh(logits / bound) * bound : logits;
    }
}

/// <summary>A projection of the last token that is not padding.</summary>
public sealed class DecoderForSequenceClassification : PretrainedModel
{
    private readonly DecoderModel model;
    private readonly Linear score;
    private readonly DecoderConfig _config;

    public DecoderForSequenceClassification(DecoderConfig config) : base(config)
    {
        _config = config;
        model = new(config);
        score = new(config.HiddenSize, config.Labels.Count, bias: false);
        RegisterComponents();
    }

    public override string Architecture => $"{_config.Family}ForSequenceClassification";

    public override string BaseModelPrefix => nameof(model);

    public override Tensor forward(ModelInputs inputs) => score.call(inputs.LastToken(model.call(inputs), _config.PadTokenId));
}

/// <summary>A projection of every token.</summary>
public sealed class DecoderForTokenClassification : PretrainedModel
{
    private readonly DecoderModel model;
    private readonly Linear score;
    private readonly DecoderConfig _config;

    public DecoderForTokenClassification(DecoderConfig config) : base(config)
    {
        _config = config;
        model = new(config);
        score = new(config.HiddenSize, config.Labels.Count);
        RegisterComponents();
    }

    public override string Architecture => $"{_config.Family}ForTokenClassification";

    public override string BaseModelPrefix => nameof(model);

    public override Tensor forward(ModelInputs inputs) =>
        score.call(FastDropout.Of(model.call(inputs), _config.ClassifierDropout ?? 0.1, training));
}
