using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training.Memory;
using FineTuneService.Training.Models.Layers;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Models;

/// <summary>
/// ModernBERT (Warner et al. 2024, arXiv:2412.13663): a pre-norm encoder with rotary positions and gated GELU;
/// most layers see only a window of neighbours, every third sees all.
/// </summary>
[ModelType("modernbert")]
public sealed record ModernBertConfig : PretrainedConfig
{
    private const string Full = "full_attention", Sliding = "sliding_attention";

    public required int HiddenSize { get; init; }
    public required int NumHiddenLayers { get; init; }
    public required int NumAttentionHeads { get; init; }
    public required int IntermediateSize { get; init; }
    public required int MaxPositionEmbeddings { get; init; }
    public string HiddenActivation { get; init; } = "gelu";
    public double NormEps { get; init; } = 1e-5;
    public bool NormBias { get; init; }
    public bool AttentionBias { get; init; }
    public bool MlpBias { get; init; }
    public bool DecoderBias { get; init; } = true;
    public bool ClassifierBias { get; init; }
    public double AttentionDropout { get; init; }
    public double EmbeddingDropout { get; init; }
    public double MlpDropout { get; init; }
    public double ClassifierDropout { get; init; }
    public string ClassifierActivation { get; init; } = "gelu";
    public string ClassifierPooling { get; init; } = "cls";
    public double? InitializerCutoffFactor { get; init; } = 2;

    /// <summary>Width of the window, the token itself in its middle.</summary>
    public int LocalAttention { get; init; } = 128;

    /// <summary>Of each layer; the older form of the file has <see cref="GlobalAttnEveryNLayers"/> in its place.</summary>
    public IReadOnlyList<string>? LayerTypes { get; init; }
    [Size]
    public int GlobalAttnEveryNLayers { get; init; } = 3;

    /// <summary>By layer type; the older form has <see cref="GlobalRopeTheta"/> and <see cref="LocalRopeTheta"/> in its place.</summary>
    public IReadOnlyDictionary<string, JsonElement>? RopeParameters { get; init; }
    public double GlobalRopeTheta { get; init; } = 160_000;
    public double? LocalRopeTheta { get; init; }

    public override string BaseModelPrefix => "model";

    public override int MaxLength => MaxPositionEmbeddings;

    public override IReadOnlyDictionary<ModelHead, Func<PretrainedModel>> Heads => new Dictionary<ModelHead, Func<PretrainedModel>>
    {
        [ModelHead.SequenceClassification] = () => new ModernBertForSequenceClassification(this),
        [ModelHead.TokenClassification] = () => new ModernBertForTokenClassification(this),
        [ModelHead.MaskedLm] = () => new ModernBertForMaskedLM(this),
    };

    internal override Value Draw(Sketch sketch, ModelHead head)
    {
        var shape = sketch.Shape;
        sketch.DropPadding();
        var embedded = sketch.Dropout(Norm("model.embeddings.norm", sketch.Embedding("model.embeddings.tok_embeddings", VocabSize, HiddenSize)), EmbeddingDropout);
        var hidden = Norm("model.final_norm", sketch.Blocks("model.layers", NumHiddenLayers, embedded, (layer, name, input, _) =>
        {
            var projected = sketch.Padded(sketch.Linear($"{name}.attn.Wqkv", layer == 0 ? input : Norm($"{name}.attn_norm", input), HiddenSize, 3 * HiddenSize, AttentionBias));
            Value query = Turn(Third()), key = Turn(Third()), value = Third();
            var mask = shape.IsMasked ? shape.Tokens * (IsLocal(layer) ? shape.Length : 1) : IsLocal(layer) ? shape.Length * shape.Length : 0;
            var context = sketch.Unpadded(sketch.Attention(query, key, value, new(NumAttentionHeads, AttentionDropout) { Mask = mask }));
            var attended = sketch.Add(input, sketch.Dropout(sketch.Linear($"{name}.attn.Wo", context, HiddenSize, HiddenSize, AttentionBias), AttentionDropout));
            var halves = sketch.Linear($"{name}.mlp.Wi", Norm($"{name}.mlp_norm", attended), HiddenSize, 2 * IntermediateSize, MlpBias);
            var (wide, gate) = (sketch.Part(halves, halves.Count / 2), sketch.Part(halves, halves.Count / 2));
            var gated = sketch.Dropout(sketch.Multiply(sketch.Activation(HiddenActivation, wide), gate), MlpDropout);
            return sketch.Add(attended, sketch.Linear($"{name}.mlp.Wo", gated, IntermediateSize, HiddenSize, MlpBias));

            Value Third() => sketch.Part(projected, projected.Count / 3);

            // x · cos + turned(x) · sin, where the turned has a half whose sign is changed
            Value Turn(Value states)
            {
                sketch.Keep(states.Bytes / 2);
                return sketch.Add(sketch.Run(states), sketch.Run(sketch.Run(states)));
            }
        }));
        hidden = sketch.Hidden(sketch.Padded(hidden));
        if (head == ModelHead.SequenceClassification)
            hidden = ClassifierPooling == "mean" ? sketch.Mean(hidden, shape.Rows * HiddenSize) : sketch.Part(hidden, shape.Rows * HiddenSize);
        else if (head == ModelHead.MaskedLm)
            hidden = sketch.Kept(hidden, HiddenSize);
        var transformed = Norm("head.norm", sketch.Activation(ClassifierActivation, sketch.Linear("head.dense", hidden, HiddenSize, HiddenSize, ClassifierBias)));
        return head == ModelHead.MaskedLm
            ? sketch.Loss(sketch.Tied("model.embeddings.tok_embeddings", transformed, VocabSize, HiddenSize, DecoderBias ? "decoder.bias" : null), VocabSize)
            : sketch.Loss(sketch.Linear("classifier", sketch.Dropout(transformed, ClassifierDropout), HiddenSize, Labels.Count), Labels.Count);

        Value Norm(string name, Value input) => sketch.LayerNorm(name, input, HiddenSize, NormBias);
    }

    public bool IsLocal(int layer) => LayerTypes is { } types ? types[layer] == Sliding : layer % GlobalAttnEveryNLayers != 0;

    /// <exception cref="FaultException">When the positions are scaled, which is not supported.</exception>
    public double RopeTheta(bool local)
    {
        var otherwise = local ? LocalRopeTheta ?? 10_000 : GlobalRopeTheta;
        if (RopeParameters?.TryGetValue(local ? Sliding : Full, out var rope) != true || rope.ValueKind != JsonValueKind.Object)
            return otherwise;
        if (rope.TryGetProperty("rope_type", out var type) && type.GetString() is { } name and not "default")
            throw new FaultException("config.json#/rope_parameters", name, "This scaling of rotary positions is not supported for ModernBERT.", "Use a model with rope_type default.");
        return rope.TryGetProperty("rope_theta", out var theta) ? theta.GetDouble() : otherwise;
    }
}

internal sealed class ModernBertEmbeddings : Module<ModelInputs, EncoderView, Tensor>
{
    internal readonly Embedding tok_embeddings;
    private readonly LayerNorm norm;
    private readonly double _dropout;

    public ModernBertEmbeddings(ModernBertConfig config) : base(nameof(ModernBertEmbeddings))
    {
        (tok_embeddings, norm) = (new(config.VocabSize, config.HiddenSize, config.PadTokenId), new(config.HiddenSize, config.NormEps, config.NormBias));
        _dropout = config.EmbeddingDropout;
        RegisterComponents();
    }

    public override Tensor forward(ModelInputs inputs, EncoderView view) => FastDropout.Of(norm.call(view.Embedded(tok_embeddings, inputs.InputIds)), _dropout, training);
}

/// <summary>Gated feed-forward (Shazeer 2020, arXiv:2002.05202).</summary>
internal sealed class ModernBertMLP : Module<Tensor, Tensor>
{
    internal readonly Linear Wi, Wo;
    private readonly Func<Tensor, Tensor> _activation;
    private readonly double _dropout;

    public ModernBertMLP(ModernBertConfig config) : base(nameof(ModernBertMLP))
    {
        (Wi, Wo) = (new(config.HiddenSize, 2 * config.IntermediateSize, config.MlpBias), new(config.IntermediateSize, config.HiddenSize, config.MlpBias));
        (_activation, _dropout) = (Activations.Named(config.HiddenActivation), config.MlpDropout);
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden)
    {
        var halves = Wi.call(hidden).chunk(2, -1);
        return Wo.call(FastDropout.Of(_activation(halves[0]) * halves[1], _dropout, training));
    }
}

/// <summary>What the layers of one kind share: the turns of the rotary positions, <c>[seq, head]</c>, and who may see whom, <c>[batch, 1, seq or 1, seq]</c>.</summary>
internal readonly record struct ModernBertView(EncoderView Encoder, Tensor Cos, Tensor Sin, Tensor? Mask);

internal sealed class ModernBertAttention : Module<Tensor, ModernBertView, Tensor>
{
    internal readonly Linear Wqkv, Wo;
    private readonly long _heads;
    private readonly double _dropout;

    public ModernBertAttention(ModernBertConfig config) : base(nameof(ModernBertAttention))
    {
        (Wqkv, Wo) = (new(config.HiddenSize, 3 * config.HiddenSize, config.AttentionBias), new(config.HiddenSize, config.HiddenSize, config.AttentionBias));
        (_heads, _dropout) = (config.NumAttentionHeads, config.AttentionDropout);
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden, ModernBertView view)
    {
        var parts = view.Encoder.Rows(Wqkv.call(hidden)).unflatten(2, 3, _heads, -1).transpose(1, 3).unbind(2); // three of [batch, heads, seq, head]
        var context = Attention.ScaledDotProduct(Turn(parts[0], view), Turn(parts[1], view), parts[2], view.Mask, training ? _dropout : 0);
        return FastDropout.Of(Wo.call(view.Encoder.Tokens(context.transpose(1, 2).flatten(2))), _dropout, training);
    }

    /// <summary>Rotary positions (Su et al. 2021, arXiv:2104.09864) in the half-split layout.</summary>
    private static Tensor Turn(Tensor states, ModernBertView view)
    {
        var halves = states.chunk(2, -1);
        return states * view.Cos + cat([-halves[1], halves[0]], -1) * view.Sin;
    }
}

internal sealed class ModernBertEncoderLayer : Module<Tensor, ModernBertView, Tensor>
{
    private readonly LayerNorm? attn_norm; // The embeddings' norm does for the first layer.
    private readonly LayerNorm mlp_norm;
    private readonly ModernBertAttention attn;
    private readonly ModernBertMLP mlp;

    public ModernBertEncoderLayer(ModernBertConfig config, int index) : base(nameof(ModernBertEncoderLayer))
    {
        if (index > 0)
            attn_norm = new(config.HiddenSize, config.NormEps, config.NormBias);
        (attn, mlp_norm, mlp) = (new(config), new(config.HiddenSize, config.NormEps, config.NormBias), new(config));
        IsLocal = config.IsLocal(index);
        RegisterComponents();
    }

    public bool IsLocal { get; }

    public override Tensor forward(Tensor hidden, ModernBertView view)
    {
        hidden += attn.call(attn_norm?.call(hidden) ?? hidden, view);
        return hidden + mlp.call(mlp_norm.call(hidden));
    }
}

internal sealed class ModernBertModel : Module<ModelInputs, Tensor>
{
    private readonly ModernBertEmbeddings embeddings;
    private readonly BlockList<ModernBertEncoderLayer> layers;
    private readonly LayerNorm final_norm;
    private readonly ModernBertConfig _config;
    private readonly double _globalTheta, _localTheta;

    public ModernBertModel(ModernBertConfig config) : base(nameof(ModernBertModel))
    {
        (_config, _globalTheta, _localTheta) = (config, config.RopeTheta(local: false), config.RopeTheta(local: true));
        embeddings = new(config);
        layers = new([.. Enumerable.Range(0, config.NumHiddenLayers).Select(index => new ModernBertEncoderLayer(config, index))]);
        final_norm = new(config.HiddenSize, config.NormEps, config.NormBias);
        RegisterComponents();
    }

    /// <summary><c>[vocabulary, hidden]</c>.</summary>
    public Tensor WordEmbeddings => embeddings.tok_embeddings.weight;

    /// <returns>Hidden states after the last norm, <c>[batch, seq, hidden]</c>.</returns>
    public override Tensor forward(ModelInputs inputs)
    {
        var encoder = new EncoderView(inputs);
        var positions = arange(inputs.InputIds.size(1), device: inputs.InputIds.device); // [seq]
        var distance = (positions.unsqueeze(1) - positions).abs(); // [seq, seq]
        var near = distance <= _config.LocalAttention / 2;
        var hidden = embeddings.call(inputs, encoder);
        var global = View(_globalTheta, encoder.Mask);
        // Padding far from every token sees itself: a softmax over nothing would be no number, and nor would the gradients of all keys.
        var local = View(_localTheta, encoder.Mask is { } padding ? (padding & near) | distance.eq(0) : near);
        return encoder.Rows(final_norm.call(layers.Run(hidden, (layer, input) => layer.call(input, layer.IsLocal ? local : global))));

        ModernBertView View(double theta, Tensor? mask)
        {
            var head = _config.HiddenSize / _config.NumAttentionHeads;
            var inverse = 1 / pow(theta, arange(0, head, 2, ScalarType.Float32, positions.device) / head);
            var angles = outer(positions.to(ScalarType.Float32), inverse); // [seq, head / 2]
            var both = cat([angles, angles], -1);
            return new(encoder, cos(both).to(hidden.dtype), sin(both).to(hidden.dtype), mask);
        }
    }
}

/// <summary>Projection, activation, norm; the width stays.</summary>
internal sealed class ModernBertPredictionHead : Module<Tensor, Tensor>
{
    internal readonly Linear dense;
    private readonly LayerNorm norm;
    private readonly Func<Tensor, Tensor> _activation;

    public ModernBertPredictionHead(ModernBertConfig config) : base(nameof(ModernBertPredictionHead))
    {
        (dense, norm) = (new(config.HiddenSize, config.HiddenSize, config.ClassifierBias), new(config.HiddenSize, config.NormEps, config.NormBias));
        _activation = Activations.Named(config.ClassifierActivation);
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden) => norm.call(_activation(dense.call(hidden)));
}
