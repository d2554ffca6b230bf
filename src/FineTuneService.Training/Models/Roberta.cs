using FineTuneService.Training.Memory;
using FineTuneService.Training.Models.Layers;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Models;

/// <summary>RoBERTa (Liu et al. 2019, arXiv:1907.11692): BERT's encoder; positions count from the padding id + 1, and padding has none.</summary>
[ModelType("roberta")]
public sealed record RobertaConfig : BertConfig
{
    public int PaddingIndex => PadTokenId ?? 1;

    public override int MaxLength => MaxPositionEmbeddings - PaddingIndex - 1;

    public override IReadOnlyDictionary<ModelHead, Func<PretrainedModel>> Heads => new Dictionary<ModelHead, Func<PretrainedModel>>
    {
        [ModelHead.SequenceClassification] = () => new RobertaForSequenceClassification(this),
        [ModelHead.TokenClassification] = () => new RobertaForTokenClassification(this),
        [ModelHead.MaskedLm] = () => new RobertaForMaskedLM(this),
    };

    internal override Value Draw(Sketch sketch, ModelHead head)
    {
        sketch.DropPadding();
        var hidden = DrawEncoder(sketch, "roberta.encoder", DrawEmbeddings(sketch, "roberta.embeddings", HiddenSize), head);
        if (head == ModelHead.TokenClassification)
            return DrawClassifier(sketch, hidden, HeadDropout);
        if (head == ModelHead.MaskedLm)
        {
            var transformed = sketch.Activation("gelu", sketch.Linear("lm_head.dense", sketch.Kept(hidden, HiddenSize), HiddenSize, HiddenSize));
            return sketch.Loss(sketch.Tied("roberta.embeddings.word_embeddings", sketch.LayerNorm("lm_head.layer_norm", transformed, HiddenSize), VocabSize, HiddenSize, "lm_head.bias"), VocabSize);
        }
        return DrawTwoLayers(sketch, hidden, "tanh");
    }

}

internal sealed class RobertaEmbeddings : Module<ModelInputs, EncoderView, Tensor>
{
    internal readonly Embedding word_embeddings;
    private readonly Embedding position_embeddings, token_type_embeddings;
    private readonly LayerNorm LayerNorm;
    private readonly int _padding;
    private readonly double _dropout;

    public RobertaEmbeddings(RobertaConfig config) : base(nameof(RobertaEmbeddings))
    {
        word_embeddings = new(config.VocabSize, config.HiddenSize, config.PaddingIndex);
        position_embeddings = new(config.MaxPositionEmbeddings, config.HiddenSize, config.PaddingIndex);
        token_type_embeddings = new(config.TypeVocabSize, config.HiddenSize);
        LayerNorm = new(config.HiddenSize, config.LayerNormEps);
        (_padding, _dropout) = (config.PaddingIndex, config.HiddenDropoutProb);
        RegisterComponents();
    }

    public override Tensor forward(ModelInputs inputs, EncoderView view)
    {
        var tokens = inputs.InputIds.ne(_padding).to(ScalarType.Int64);
        var positions = view.Tokens(cumsum(tokens, 1) * tokens + _padding);
        var words = view.Embedded(word_embeddings, inputs.InputIds);
        var types = view.Tokens(inputs.TokenTypeIds ?? zeros_like(inputs.InputIds));
        var sum = words + token_type_embeddings.call(types) + position_embeddings.call(positions); // [batch, seq, hidden] or [tokens, hidden]
        return FastDropout.Of(LayerNorm.call(sum), _dropout, training);
    }
}

internal sealed class RobertaModel : Module<ModelInputs, Tensor>
{
    private readonly RobertaEmbeddings embeddings;
    private readonly BertEncoder encoder;

    public RobertaModel(RobertaConfig config) : base(nameof(RobertaModel))
    {
        (embeddings, encoder) = (new(config), new(config));
        RegisterComponents();
    }

    /// <summary><c>[vocabulary, hidden]</c>.</summary>
    public Tensor WordEmbeddings => embeddings.word_embeddings.weight;

    /// <returns>Hidden states of the last layer, <c>[batch, seq, hidden]</c>.</returns>
    public override Tensor forward(ModelInputs inputs) => States(inputs, new EncoderView(inputs));

    /// <returns>Those of the first tokens, <c>[batch, 1, hidden]</c>.</returns>
    public Tensor First(ModelInputs inputs) => States(inputs, new EncoderView(inputs) { FirstOnly = true });

    private Tensor States(ModelInputs inputs, EncoderView view) => encoder.call(embeddings.call(inputs, view), view);
}

/// <summary>Two layers over the first token (<c>&lt;s&gt;</c>), <c>[batch, 1, hidden] → [batch, labels]</c>.</summary>
internal sealed class RobertaClassificationHead : Module<Tensor, Tensor>
{
    private readonly Linear dense, out_proj;
    private readonly double _dropout;

    public RobertaClassificationHead(RobertaConfig config) : base(nameof(RobertaClassificationHead))
    {
        dense = new(config.HiddenSize, config.HiddenSize);
        out_proj = new(config.HiddenSize, config.Labels.Count);
        _dropout = config.HeadDropout;
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden)
    {
        var first = FastDropout.Of(hidden.select(1, 0), _dropout, training);
        return out_proj.call(FastDropout.Of(tanh(dense.call(first)), _dropout, training));
    }
}

public sealed class RobertaForSequenceClassification : PretrainedModel
{
    private readonly RobertaModel roberta;
    private readonly RobertaClassificationHead classifier;

    public RobertaForSequenceClassification(RobertaConfig config) : base(config)
    {
        (roberta, classifier) = (new(config), new(config));
        RegisterComponents();
    }

    public override string BaseModelPrefix => nameof(roberta);

    public override Tensor forward(ModelInputs inputs) => classifier.call(roberta.First(inputs));
}

public sealed class RobertaForTokenClassification : PretrainedModel
{
    private readonly RobertaModel roberta;
    private readonly Linear classifier;
    private readonly double _dropout;

    public RobertaForTokenClassification(RobertaConfig config) : base(config)
    {
        (roberta, classifier) = (new(config), new(config.HiddenSize, config.Labels.Count));
        _dropout = config.HeadDropout;
        RegisterComponents();
    }

    public override string BaseModelPrefix => nameof(roberta);

    public override Tensor forward(ModelInputs inputs) => classifier.call(FastDropout.Of(roberta.call(inputs), _dropout, training));
}

/// <summary>Projection, GELU and norm, then the logits of every word with the word embedding as weight: <c>[batch, seq, hidden] → [batch, seq, vocabulary]</c>.</summary>
internal sealed class RobertaLMHead : Module<Tensor, Tensor, Tensor>
{
    private readonly Linear dense;
    private readonly LayerNorm layer_norm;
    internal readonly Parameter bias; // [vocabulary]

    public RobertaLMHead(RobertaConfig config) : base(nameof(RobertaLMHead))
    {
        (dense, layer_norm) = (new(config.HiddenSize, config.HiddenSize), new(config.HiddenSize, config.LayerNormEps));
        bias = Parameter(empty(config.VocabSize));
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden, Tensor wordEmbeddings) =>
        functional.linear(layer_norm.call(Gelu.Of(dense.call(hidden))), wordEmbeddings, bias);
}

public sealed class RobertaForMaskedLM : PretrainedModel
{
    private readonly RobertaModel roberta;
    private readonly RobertaLMHead lm_head;

    public RobertaForMaskedLM(RobertaConfig config) : base(config)
    {
        (roberta, lm_head) = (new(config), new(config));
        RegisterComponents();
    }

    public override string BaseModelPrefix => nameof(roberta);

    public override IReadOnlyDictionary<string, string> StoredCopies { get; } = new Dictionary<string, string>
    {
        ["lm_head.bias"] = "lm_head.decoder.bias",
        ["roberta.embeddings.word_embeddings.weight"] = "lm_head.decoder.weight",
    };

    public override Tensor forward(ModelInputs inputs) => lm_head.call(inputs.Kept(roberta.call(inputs)), roberta.WordEmbeddings);
}
