using System.Text.Json.Serialization;
using FineTuneService.Training.Memory;
using FineTuneService.Training.Models.Layers;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Models;

/// <summary>GPT-2 (Radford et al. 2019): learned positions, norms before each half, the head tied to the embedding.</summary>
[ModelType("gpt2")]
public sealed record Gpt2Config : PretrainedConfig
{
    public required int NPositions { get; init; }
    public required int NEmbd { get; init; }
    public required int NLayer { get; init; }
    public required int NHead { get; init; }
    [Size]
    public int? NInner { get; init; }
    public string ActivationFunction { get; init; } = "gelu_new";
    public double EmbdPdrop { get; init; } = 0.1;
    public double AttnPdrop { get; init; } = 0.1;
    public double ResidPdrop { get; init; } = 0.1;
    public double? ClassifierDropout { get; init; }
    public double LayerNormEpsilon { get; init; } = 1e-5;
    public bool ScaleAttnWeights { get; init; } = true;
    public bool ScaleAttnByInverseLayerIdx { get; init; }
    public bool TieWordEmbeddings { get; init; } = true;

    [JsonIgnore]
    public int Inner => NInner ?? 4 * NEmbd;

    public override string BaseModelPrefix => "transformer";

    public override int MaxLength => NPositions;

    public override bool JudgesLastToken => true;

    public override IReadOnlyDictionary<ModelHead, Func<PretrainedModel>> Heads => new Dictionary<ModelHead, Func<PretrainedModel>>
    {
        [ModelHead.CausalLm] = () => new Gpt2LmHeadModel(this),
        [ModelHead.SequenceClassification] = () => new Gpt2ForSequenceClassification(this),
        [ModelHead.TokenClassification] = () => new Gpt2ForTokenClassification(this),
    };

    internal override Value Draw(Sketch sketch, ModelHead head)
    {
        var sum = sketch.Add(sketch.Embedding("transformer.wte", VocabSize, NEmbd), sketch.Embedding("transformer.wpe", NPositions, NEmbd, perRow: false));
        var hidden = sketch.Blocks("transformer.h", NLayer, sketch.Dropout(sum, EmbdPdrop), (_, name, input, _) =>
        {
            var fused = sketch.Linear($"{name}.attn.c_attn", sketch.LayerNorm($"{name}.ln_1", input, NEmbd), NEmbd, 3 * NEmbd);
            var context = sketch.Attention(Third(fused), Third(fused), Third(fused), new(NHead, AttnPdrop) { Mask = sketch.CausalMask });
            var attended = sketch.Add(input, sketch.Dropout(sketch.Linear($"{name}.attn.c_proj", context, NEmbd, NEmbd), ResidPdrop));
            var wide = sketch.Activation(ActivationFunction, sketch.Linear($"{name}.mlp.c_fc", sketch.LayerNorm($"{name}.ln_2", attended, NEmbd), NEmbd, Inner));
            return sketch.Add(attended, sketch.Dropout(sketch.Linear($"{name}.mlp.c_proj", wide, Inner, NEmbd), ResidPdrop));

            Value Third(Value fused) => sketch.Part(fused, fused.Count / 3);
        });
        hidden = sketch.Hidden(sketch.LayerNorm("transformer.ln_f", hidden, NEmbd));
        if (head == ModelHead.CausalLm)
            return sketch.NextTokenLoss(hidden, NEmbd, VocabSize, states => TieWordEmbeddings ? sketch.Tied("transformer.wte", states, VocabSize, NEmbd) : sketch.Linear("lm_head", states, NEmbd, VocabSize, bias: false));
        return head == ModelHead.SequenceClassification
            ? sketch.Loss(sketch.Linear("score", sketch.Part(hidden, sketch.Shape.Rows * NEmbd), NEmbd, Labels.Count, bias: false), Labels.Count)
            : sketch.Loss(sketch.Linear("classifier", sketch.Dropout(hidden, ClassifierDropout ?? 0.1), NEmbd, Labels.Count), Labels.Count);
    }
}

internal sealed class Gpt2Attention : Module<Tensor, AttentionContext, Tensor>
{
    private readonly Conv1D c_attn, c_proj;
    private readonly Gpt2Config _config;
    private readonly int _layer;
    private readonly double _scale;

    public Gpt2Attention(Gpt2Config config, int layer) : base(nameof(Gpt2Attention))
    {
        (c_attn, c_proj) = (new(config.NEmbd, 3 * config.NEmbd), new(config.NEmbd, config.NEmbd));
        (_config, _layer) = (config, layer);
        _scale = (config.ScaleAttnWeights ? 1 / Math.Sqrt(config.NEmbd / config.NHead) : 1) / (config.ScaleAttnByInverseLayerIdx ? layer + 1 : 1);
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden, AttentionContext context)
    {
        var parts = c_attn.call(hidden).chunk(3, -1); // [batch, seq, hidden] each
        var (query, key, value) = (Attention.Split(parts[0], _config.NHead), Attention.Split(parts[1], _config.NHead), Attention.Split(parts[2], _config.NHead));
        if (context.Cache is { } cache)
            (key, value) = cache.Append(_layer, key, value);
        var attended = Attention.Causal(query, key, value, context, window: null, _scale, training ? _config.AttnPdrop : 0);
        return FastDropout.Of(c_proj.call(attended), _config.ResidPdrop, training);
    }
}

internal sealed class Gpt2Mlp : Module<Tensor, Tensor>
{
    private readonly Conv1D c_fc, c_proj;
    private readonly Func<Tensor, Tensor> _activation;
    private readonly double _dropout;

    public Gpt2Mlp(Gpt2Config config) : base(nameof(Gpt2Mlp))
    {
        (c_fc, c_proj) = (new(config.NEmbd, config.Inner), new(config.Inner, config.NEmbd));
        (_activation, _dropout) = (Activations.Named(config.ActivationFunction), config.ResidPdrop);
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden) => FastDropout.Of(c_proj.call(_activation(c_fc.call(hidden))), _dropout, training);
}

internal sealed class Gpt2Block : Module<Tensor, AttentionContext, Tensor>
{
    private readonly LayerNorm ln_1, ln_2;
    private readonly Gpt2Attention attn;
    private readonly Gpt2Mlp mlp;

    public Gpt2Block(Gpt2Config config, int layer) : base(nameof(Gpt2Block))
    {
        (ln_1, ln_2) = (new(config.NEmbd, config.LayerNormEpsilon), new(config.NEmbd, config.LayerNormEpsilon));
        (attn, mlp) = (new(config, layer), new(config));
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden, AttentionContext context)
    {
        hidden = hidden + attn.call(ln_1.call(hidden), context);
        return hidden + mlp.call(ln_2.call(hidden));
    }
}

internal sealed class Gpt2Model : Module<ModelInputs, Tensor>
{
    internal readonly Embedding wte;
    private readonly Embedding wpe;
    private readonly BlockList<Gpt2Block> h;
    private readonly LayerNorm ln_f;
    private readonly double _dropout;

    public Gpt2Model(Gpt2Config config) : base(nameof(Gpt2Model))
    {
        (wte, wpe) = (new(config.VocabSize, config.NEmbd), new(config.NPositions, config.NEmbd));
        h = new([.. Enumerable.Range(0, config.NLayer).Select(layer => new Gpt2Block(config, layer))]);
        ln_f = new(config.NEmbd, config.LayerNormEpsilon);
        _dropout = config.EmbdPdrop;
        RegisterComponents();
    }

    /// <returns>Hidden states of the last layer, <c>[batch, seq, hidden]</c>.</returns>
    public override Tensor forward(ModelInputs inputs)
    {
        var context = new AttentionContext(inputs, rotary: null, windows: [null]);
        var hidden = FastDropout.Of(wte.call(inputs.InputIds) + wpe.call(context.Positions), _dropout, training);
        return ln_f.call(h.Run(hidden, (block, input) => block.call(input, context)));
    }
}

/// <summary>The next token's logits. Tied: the embedding is the head, and is stored once.</summary>
public sealed class Gpt2LmHeadModel : CausalLanguageModel
{
    private readonly Gpt2Model transformer;
    private readonly Linear? lm_head;

    public Gpt2LmHeadModel(Gpt2Config config) : base(config)
    {
        transformer = new(config);
        if (!config.TieWordEmbeddings)
            lm_head = new(config.NEmbd, config.VocabSize, bias: false);
        RegisterComponents();
    }

    public override string Architecture => "GPT2LMHeadModel";

    public override string BaseModelPrefix => nameof(transformer);

    public override Tensor Hidden(ModelInputs inputs) => transformer.call(inputs);

    public override Tensor Logits(Tensor hidden) => lm_head?.call(hidden) ?? functional.linear(hidden, transformer.wte.weight);
}

/// <summary>A projection of the last token that is not padding.</summary>
public sealed class Gpt2ForSequenceClassification : PretrainedModel
{
    private readonly Gpt2Model transformer;
    private readonly Linear score;

    public Gpt2ForSequenceClassification(Gpt2Config config) : base(config)
    {
        transformer = new(config);
        score = new(config.NEmbd, config.Labels.Count, bias: false);
        RegisterComponents();
    }

    public override string Architecture => "GPT2ForSequenceClassification";

    public override string BaseModelPrefix => nameof(transformer);

    public override Tensor forward(ModelInputs inputs) => score.call(inputs.LastToken(transformer.call(inputs), Config.PadTokenId));
}

/// <summary>A projection of every token.</summary>
public sealed class Gpt2ForTokenClassification : PretrainedModel
{
    private readonly Gpt2Model transformer;
    private readonly Linear classifier;
    private readonly double _dropout;

    public Gpt2ForTokenClassification(Gpt2Config config) : base(config)
    {
        transformer = new(config);
        classifier = new(config.NEmbd, config.Labels.Count);
        _dropout = config.ClassifierDropout ?? 0.1;
        RegisterComponents();
    }

    public override string Architecture => "GPT2ForTokenClassification";

    public override string BaseModelPrefix => nameof(transformer);

    public override Tensor forward(ModelInputs inputs) => classifier.call(FastDropout.Of(transformer.call(inputs), _dropout, training));
}
