using FineTuneService.Training.Memory;
using FineTuneService.Training.Models.Layers;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Models;

/// <summary>DistilBERT (Sanh et al. 2019, arXiv:1910.01108): BERT without segments and pooler, half the layers.</summary>
[ModelType("distilbert")]
public sealed record DistilBertConfig : PretrainedConfig
{
    public const double LayerNormEps = 1e-12;

    public required int Dim { get; init; }
    public required int HiddenDim { get; init; }
    public required int NLayers { get; init; }
    public required int NHeads { get; init; }
    public required int MaxPositionEmbeddings { get; init; }
    public string Activation { get; init; } = "gelu";
    public double Dropout { get; init; } = 0.1;
    public double AttentionDropout { get; init; } = 0.1;
    public double SeqClassifDropout { get; init; } = 0.2;

    public override int MaxLength => MaxPositionEmbeddings;

    public override IReadOnlyDictionary<ModelHead, Func<PretrainedModel>> Heads => new Dictionary<ModelHead, Func<PretrainedModel>>
    {
        [ModelHead.SequenceClassification] = () => new DistilBertForSequenceClassification(this),
        [ModelHead.TokenClassification] = () => new DistilBertForTokenClassification(this),
        [ModelHead.MaskedLm] = () => new DistilBertForMaskedLM(this),
    };

    internal override Value Draw(Sketch sketch, ModelHead head)
    {
        const string Embeddings = "distilbert.embeddings";
        sketch.DropPadding();
        var sum = sketch.Add(sketch.Embedding($"{Embeddings}.word_embeddings", VocabSize, Dim), sketch.Embedding($"{Embeddings}.position_embeddings", MaxPositionEmbeddings, Dim, perRow: false));
        var embedded = sketch.Dropout(sketch.LayerNorm($"{Embeddings}.LayerNorm", sum, Dim), Dropout);
        var hidden = sketch.Encoder("distilbert.transformer.layer", NLayers, embedded, Dim, head, (name, wanted, input) =>
        {
            var context = sketch.Attend(Project("q_lin", wanted), Project("k_lin", input), Project("v_lin", input), new(NHeads, AttentionDropout));
            var attended = sketch.LayerNorm($"{name}.sa_layer_norm", sketch.Add(Project("out_lin", context), wanted), Dim);
            var wide = sketch.Activation(Activation, sketch.Linear($"{name}.ffn.lin1", attended, Dim, HiddenDim));
            return sketch.LayerNorm($"{name}.output_layer_norm", sketch.Add(sketch.Dropout(sketch.Linear($"{name}.ffn.lin2", wide, HiddenDim, Dim), Dropout), attended), Dim);

            Value Project(string what, Value given) => sketch.Linear($"{name}.attention.{what}", given, Dim, Dim);
        });
        if (head == ModelHead.MaskedLm)
        {
            var transformed = sketch.LayerNorm("vocab_layer_norm", sketch.Activation(Activation, sketch.Linear("vocab_transform", sketch.Kept(hidden, Dim), Dim, Dim)), Dim);
            return sketch.Loss(sketch.Tied($"{Embeddings}.word_embeddings", transformed, VocabSize, Dim, "vocab_projector.bias"), VocabSize);
        }
        if (head == ModelHead.SequenceClassification)
            hidden = sketch.Activation("relu", sketch.Linear("pre_classifier", hidden, Dim, Dim));
        return sketch.Loss(sketch.Linear("classifier", sketch.Dropout(hidden, head == ModelHead.SequenceClassification ? SeqClassifDropout : Dropout), Dim, Labels.Count), Labels.Count);
    }
}

internal sealed class DistilBertEmbeddings : Module<ModelInputs, EncoderView, Tensor>
{
    internal readonly Embedding word_embeddings;
    private readonly Embedding position_embeddings;
    private readonly LayerNorm LayerNorm;
    private readonly double _dropout;

    public DistilBertEmbeddings(DistilBertConfig config) : base(nameof(DistilBertEmbeddings))
    {
        word_embeddings = new(config.VocabSize, config.Dim, config.PadTokenId);
        position_embeddings = new(config.MaxPositionEmbeddings, config.Dim);
        LayerNorm = new(config.Dim, DistilBertConfig.LayerNormEps);
        _dropout = config.Dropout;
        RegisterComponents();
    }

    public override Tensor forward(ModelInputs inputs, EncoderView view) =>
        FastDropout.Of(LayerNorm.call(view.Embedded(word_embeddings, inputs.InputIds) + position_embeddings.call(view.Positions)), _dropout, training);
}

internal sealed class DistilBertSelfAttention : Module<Tensor, Tensor, EncoderView, Tensor>
{
    private readonly Linear q_lin, k_lin, v_lin, out_lin;
    private readonly long _heads;
    private readonly double _dropout;

    public DistilBertSelfAttention(DistilBertConfig config) : base(nameof(DistilBertSelfAttention))
    {
        (q_lin, k_lin, v_lin, out_lin) = (new(config.Dim, config.Dim), new(config.Dim, config.Dim), new(config.Dim, config.Dim), new(config.Dim, config.Dim));
        (_heads, _dropout) = (config.NHeads, config.AttentionDropout);
        RegisterComponents();
    }

    public override Tensor forward(Tensor wanted, Tensor hidden, EncoderView view) =>
        out_lin.call(view.Attend(q_lin.call(wanted), k_lin.call(hidden), v_lin.call(hidden), _heads, training ? _dropout : 0));
}

internal sealed class DistilBertFeedForward : Module<Tensor, Tensor>
{
    private readonly Linear lin1, lin2;
    private readonly Func<Tensor, Tensor> _activation;
    private readonly double _dropout;

    public DistilBertFeedForward(DistilBertConfig config) : base(nameof(DistilBertFeedForward))
    {
        (lin1, lin2) = (new(config.Dim, config.HiddenDim), new(config.HiddenDim, config.Dim));
        (_activation, _dropout) = (Activations.Named(config.Activation), config.Dropout);
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden) => FastDropout.Of(lin2.call(_activation(lin1.call(hidden))), _dropout, training);
}

internal sealed class DistilBertBlock : Module<Tensor, EncoderView, Tensor>
{
    private readonly DistilBertSelfAttention attention;
    private readonly LayerNorm sa_layer_norm, output_layer_norm;
    private readonly DistilBertFeedForward ffn;

    public DistilBertBlock(DistilBertConfig config) : base(nameof(DistilBertBlock))
    {
        attention = new(config);
        sa_layer_norm = new(config.Dim, DistilBertConfig.LayerNormEps);
        ffn = new(config);
        output_layer_norm = new(config.Dim, DistilBertConfig.LayerNormEps);
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden, EncoderView view)
    {
        var wanted = view.Wanted(hidden);
        var attended = sa_layer_norm.call(attention.call(wanted, hidden, view) + wanted);
        return output_layer_norm.call(ffn.call(attended) + attended);
    }
}

internal sealed class DistilBertTransformer : Module<Tensor, EncoderView, Tensor>
{
    private readonly BlockList<DistilBertBlock> layer;

    public DistilBertTransformer(DistilBertConfig config) : base(nameof(DistilBertTransformer))
    {
        layer = new([.. Enumerable.Range(0, config.NLayers).Select(_ => new DistilBertBlock(config))]);
        RegisterComponents();
    }

    /// <returns><c>[batch, seq, dim]</c>, or what the view wants of it.</returns>
    public override Tensor forward(Tensor hidden, EncoderView view) => layer.Run(hidden, view, (block, input, its) => block.call(input, its));
}

internal sealed class DistilBertModel : Module<ModelInputs, Tensor>
{
    private readonly DistilBertEmbeddings embeddings;
    private readonly DistilBertTransformer transformer;

    public DistilBertModel(DistilBertConfig config) : base(nameof(DistilBertModel))
    {
        (embeddings, transformer) = (new(config), new(config));
        RegisterComponents();
    }

    /// <summary><c>[vocabulary, dim]</c>.</summary>
    public Tensor WordEmbeddings => embeddings.word_embeddings.weight;

    /// <returns>Hidden states of the last layer, <c>[batch, seq, dim]</c>.</returns>
    public override Tensor forward(ModelInputs inputs) => States(inputs, new EncoderView(inputs));

    /// <returns>Those of the first tokens, <c>[batch, 1, dim]</c>.</returns>
    public Tensor First(ModelInputs inputs) => States(inputs, new EncoderView(inputs) { FirstOnly = true });

    private Tensor States(ModelInputs inputs, EncoderView view) => transformer.call(embeddings.call(inputs, view), view);
}

public sealed class DistilBertForSequenceClassification : PretrainedModel
{
    private readonly DistilBertModel distilbert;
    private readonly Linear pre_classifier, classifier;
    private readonly double _dropout;

    public DistilBertForSequenceClassification(DistilBertConfig config) : base(config)
    {
        distilbert = new(config);
        pre_classifier = new(config.Dim, config.Dim);
        classifier = new(config.Dim, config.Labels.Count);
        _dropout = config.SeqClassifDropout;
        RegisterComponents();
    }

    public override string BaseModelPrefix => nameof(distilbert);

    public override Tensor forward(ModelInputs inputs)
    {
        var first = functional.relu(pre_classifier.call(distilbert.First(inputs).select(1, 0))); // [batch, dim]
        return classifier.call(FastDropout.Of(first, _dropout, training));
    }
}

public sealed class DistilBertForTokenClassification : PretrainedModel
{
    private readonly DistilBertModel distilbert;
    private readonly Linear classifier;
    private readonly double _dropout;

    public DistilBertForTokenClassification(DistilBertConfig config) : base(config)
    {
        (distilbert, classifier) = (new(config), new(config.Dim, config.Labels.Count));
        _dropout = config.Dropout;
        RegisterComponents();
    }

    public override string BaseModelPrefix => nameof(distilbert);

    public override Tensor forward(ModelInputs inputs) => classifier.call(FastDropout.Of(distilbert.call(inputs), _dropout, training));
}

public sealed class DistilBertForMaskedLM : PretrainedModel
{
    private readonly DistilBertModel distilbert;
    private readonly Linear vocab_transform;
    private readonly LayerNorm vocab_layer_norm;
    private readonly TiedDecoder vocab_projector;
    private readonly Func<Tensor, Tensor> _activation;

    public DistilBertForMaskedLM(DistilBertConfig config) : base(config)
    {
        distilbert = new(config);
        (vocab_transform, vocab_layer_norm) = (new(config.Dim, config.Dim), new(config.Dim, DistilBertConfig.LayerNormEps));
        vocab_projector = new(config.VocabSize);
        _activation = Activations.Named(config.Activation);
        RegisterComponents();
    }

    public override string BaseModelPrefix => nameof(distilbert);

    public override IReadOnlyDictionary<string, string> StoredCopies { get; } = new Dictionary<string, string>
    {
        ["distilbert.embeddings.word_embeddings.weight"] = "vocab_projector.weight",
    };

    public override Tensor forward(ModelInputs inputs)
    {
        var transformed = vocab_layer_norm.call(_activation(vocab_transform.call(inputs.Kept(distilbert.call(inputs))))); // [batch, seq, dim]
        return vocab_projector.call(transformed, distilbert.WordEmbeddings);
    }
}
