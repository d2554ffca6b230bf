using System.Text.Json.Serialization;
using FineTuneService.Training.Memory;
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

    /// <summary>Dropout before the layer that classifies.</summary>
    [JsonIgnore]
    public double HeadDropout => ClassifierDropout ?? HiddenDropoutProb;

    public override int MaxLength => MaxPositionEmbeddings;

    public override IReadOnlyDictionary<ModelHead, Func<PretrainedModel>> Heads => new Dictionary<ModelHead, Func<PretrainedModel>>
    {
        [ModelHead.SequenceClassification] = () => new BertForSequenceClassification(this),
        [ModelHead.TokenClassification] = () => new BertForTokenClassification(this),
        [ModelHead.MaskedLm] = () => new BertForMaskedLM(this),
    };

    internal override Value Draw(Sketch sketch, ModelHead head)
    {
        sketch.DropPadding();
        var hidden = DrawEncoder(sketch, "bert.encoder", DrawEmbeddings(sketch, "bert.embeddings", HiddenSize), head);
        if (head == ModelHead.MaskedLm)
            return sketch.Loss(DrawPredictions(sketch, "cls.predictions", hidden, "bert.embeddings.word_embeddings"), VocabSize);
        if (head == ModelHead.SequenceClassification)
            hidden = sketch.Activation("tanh", sketch.Linear("bert.pooler.dense", hidden, HiddenSize, HiddenSize));
        return DrawClassifier(sketch, hidden, HeadDropout);
    }

    private protected Value DrawEmbeddings(Sketch sketch, string path, int width)
    {
        var words = sketch.Embedding($"{path}.word_embeddings", VocabSize, width);
        var types = sketch.Embedding($"{path}.token_type_embeddings", TypeVocabSize, width);
        var sum = sketch.Add(sketch.Add(words, types), sketch.Embedding($"{path}.position_embeddings", MaxPositionEmbeddings, width, perRow: this is RobertaConfig));
        return sketch.Dropout(sketch.LayerNorm($"{path}.LayerNorm", sum, width), HiddenDropoutProb);
    }

    private protected Value DrawEncoder(Sketch sketch, string path, Value hidden, ModelHead head) => sketch.Encoder($"{path}.layer", NumHiddenLayers, hidden, HiddenSize, head, (name, wanted, input) =>
    {
        var attended = sketch.Attend(Project("query", wanted), Project("key", input), Project("value", input), new(NumAttentionHeads, AttentionProbsDropoutProb));
        return DrawHalves(sketch, name, wanted, attended);

        Value Project(string what, Value given) => sketch.Linear($"{name}.attention.self.{what}", given, HiddenSize, HiddenSize);
    });

    /// <summary>What follows the attention in a block.</summary>
    private protected Value DrawHalves(Sketch sketch, string name, Value input, Value attended)
    {
        var first = Output($"{name}.attention.output", attended, HiddenSize, input);
        var wide = sketch.Activation(HiddenAct, sketch.Linear($"{name}.intermediate.dense", first, HiddenSize, IntermediateSize));
        return Output($"{name}.output", wide, IntermediateSize, first);

        Value Output(string path, Value given, int width, Value residual) => sketch.LayerNorm(
            $"{path}.LayerNorm", sketch.Add(sketch.Dropout(sketch.Linear($"{path}.dense", given, width, HiddenSize), HiddenDropoutProb), residual), HiddenSize);
    }

    private protected Value DrawPredictions(Sketch sketch, string path, Value hidden, string table)
    {
        var transformed = sketch.Activation(HiddenAct, sketch.Linear($"{path}.transform.dense", sketch.Kept(hidden, HiddenSize), HiddenSize, HiddenSize));
        return sketch.Tied(table, sketch.LayerNorm($"{path}.transform.LayerNorm", transformed, HiddenSize), VocabSize, HiddenSize, $"{path}.bias");
    }

    /// <summary>The heads of RoBERTa and ELECTRA over the first token.</summary>
    private protected Value DrawTwoLayers(Sketch sketch, Value first, string activation)
    {
        var dense = sketch.Activation(activation, sketch.Linear("classifier.dense", sketch.Dropout(first, HeadDropout), HiddenSize, HiddenSize));
        return sketch.Loss(sketch.Linear("classifier.out_proj", sketch.Dropout(dense, HeadDropout), HiddenSize, Labels.Count), Labels.Count);
    }

    private protected Value DrawClassifier(Sketch sketch, Value hidden, double dropout) =>
        sketch.Loss(sketch.Linear("classifier", sketch.Dropout(hidden, dropout), HiddenSize, Labels.Count), Labels.Count);
}

/// <summary>Word + position + segment, then norm and dropout.</summary>
internal sealed class BertEmbeddings : Module<ModelInputs, EncoderView, Tensor>
{
    internal readonly Embedding word_embeddings;
    private readonly Embedding position_embeddings, token_type_embeddings;
    private readonly LayerNorm LayerNorm;
    private readonly double _dropout;

    /// <param name="width">Of the tables; ELECTRA's are narrower than its layers.</param>
    public BertEmbeddings(BertConfig config, int width) : base(nameof(BertEmbeddings))
    {
        word_embeddings = new(config.VocabSize, width, config.PadTokenId);
        position_embeddings = new(config.MaxPositionEmbeddings, width);
        token_type_embeddings = new(config.TypeVocabSize, width);
        LayerNorm = new(width, config.LayerNormEps);
        _dropout = config.HiddenDropoutProb;
        RegisterComponents();
    }

    public override Tensor forward(ModelInputs inputs, EncoderView view)
    {
        var words = view.Embedded(word_embeddings, inputs.InputIds);
        var types = view.Tokens(inputs.TokenTypeIds ?? zeros_like(inputs.InputIds));
        var sum = words + token_type_embeddings.call(types) + position_embeddings.call(view.Positions); // [batch, seq, hidden] or [tokens, hidden]
        return FastDropout.Of(LayerNorm.call(sum), _dropout, training);
    }
}

internal sealed class BertSelfAttention : Module<Tensor, Tensor, EncoderView, Tensor>
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

    public override Tensor forward(Tensor wanted, Tensor hidden, EncoderView view) =>
        view.Attend(query.call(wanted), key.call(hidden), value.call(hidden), _heads, training ? _dropout : 0);
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
        LayerNorm.call(FastDropout.Of(dense.call(hidden), _dropout, training) + residual);
}

internal sealed class BertAttention : Module<Tensor, EncoderView, Tensor>
{
    private readonly BertSelfAttention self;
    private readonly BertOutput output;

    public BertAttention(BertConfig config) : base(nameof(BertAttention))
    {
        self = new(config);
        output = new(config, config.HiddenSize);
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden, EncoderView view)
    {
        var wanted = view.Wanted(hidden);
        return output.call(self.call(wanted, hidden, view), wanted);
    }
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

internal sealed class BertLayer : Module<Tensor, EncoderView, Tensor>
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

    public override Tensor forward(Tensor hidden, EncoderView view)
    {
        var attended = attention.call(hidden, view);
        return output.call(intermediate.call(attended), attended);
    }
}

internal sealed class BertEncoder : Module<Tensor, EncoderView, Tensor>
{
    private readonly BlockList<BertLayer> layer;

    public BertEncoder(BertConfig config) : base(nameof(BertEncoder))
    {
        layer = new([.. Enumerable.Range(0, config.NumHiddenLayers).Select(_ => new BertLayer(config))]);
        RegisterComponents();
    }

    /// <returns><c>[batch, seq, hidden]</c>, or what the view wants of it.</returns>
    public override Tensor forward(Tensor hidden, EncoderView view) => layer.Run(hidden, view, (block, input, its) => block.call(input, its));
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

/// <summary>The encoder. What only judges a text as a whole has a pooler, as in transformers.</summary>
internal sealed class BertModel : Module<ModelInputs, Tensor>
{
    private readonly BertEmbeddings embeddings;
    private readonly BertEncoder encoder;
    private readonly BertPooler? pooler;

    public BertModel(BertConfig config, bool addPoolingLayer) : base(nameof(BertModel))
    {
        (embeddings, encoder) = (new(config, config.HiddenSize), new(config));
        if (addPoolingLayer)
            pooler = new(config);
        RegisterComponents();
    }

    /// <summary><c>[vocabulary, hidden]</c>.</summary>
    public Tensor WordEmbeddings => embeddings.word_embeddings.weight;

    /// <returns>Hidden states of the last layer, <c>[batch, seq, hidden]</c>.</returns>
    public override Tensor forward(ModelInputs inputs) => States(inputs, new EncoderView(inputs));

    /// <returns>The pooled first token, <c>[batch, hidden]</c>.</returns>
    public Tensor Pooled(ModelInputs inputs) => pooler!.call(States(inputs, new EncoderView(inputs) { FirstOnly = true }));

    private Tensor States(ModelInputs inputs, EncoderView view) => encoder.call(embeddings.call(inputs, view), view);
}

public sealed class BertForSequenceClassification : PretrainedModel
{
    private readonly BertModel bert;
    private readonly Linear classifier;
    private readonly double _dropout;

    public BertForSequenceClassification(BertConfig config) : base(config)
    {
        bert = new(config, addPoolingLayer: true);
        classifier = new(config.HiddenSize, config.Labels.Count);
        _dropout = config.HeadDropout;
        RegisterComponents();
    }

    public override string BaseModelPrefix => nameof(bert);

    /// <summary>Checkpoints of masked-language models have no pooler.</summary>
    internal const string PoolerPrefix = "bert.pooler.";

    public override bool IsNewForTask(string key) => base.IsNewForTask(key) || key.StartsWith(PoolerPrefix, StringComparison.Ordinal);

    public override Tensor forward(ModelInputs inputs) => classifier.call(FastDropout.Of(bert.Pooled(inputs), _dropout, training));
}

public sealed class BertForTokenClassification : PretrainedModel
{
    private readonly BertModel bert;
    private readonly Linear classifier;
    private readonly double _dropout;

    public BertForTokenClassification(BertConfig config) : base(config)
    {
        bert = new(config, addPoolingLayer: false);
        classifier = new(config.HiddenSize, config.Labels.Count);
        _dropout = config.HeadDropout;
        RegisterComponents();
    }

    public override string BaseModelPrefix => nameof(bert);

    public override Tensor forward(ModelInputs inputs) => classifier.call(FastDropout.Of(bert.call(inputs), _dropout, training));
}

/// <summary>Projection, activation, norm: <c>[batch, seq, hidden]</c> before the vocabulary.</summary>
internal sealed class BertPredictionHeadTransform : Module<Tensor, Tensor>
{
    private readonly Linear dense;
    private readonly LayerNorm LayerNorm;
    private readonly Func<Tensor, Tensor> _activation;

    public BertPredictionHeadTransform(BertConfig config) : base(nameof(BertPredictionHeadTransform))
    {
        (dense, LayerNorm) = (new(config.HiddenSize, config.HiddenSize), new(config.HiddenSize, config.LayerNormEps));
        _activation = Activations.Named(config.HiddenAct);
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden) => LayerNorm.call(_activation(dense.call(hidden)));
}

/// <summary>Logits of every word: the word embedding is the weight (Press and Wolf 2017, arXiv:1608.05859) and is stored once; only the bias is its own.</summary>
internal sealed class BertLMPredictionHead : Module<Tensor, Tensor, Tensor>
{
    private readonly BertPredictionHeadTransform transform;
    internal readonly Parameter bias; // [vocabulary]

    public BertLMPredictionHead(BertConfig config) : base(nameof(BertLMPredictionHead))
    {
        transform = new(config);
        bias = Parameter(empty(config.VocabSize));
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden, Tensor wordEmbeddings) => functional.linear(transform.call(hidden), wordEmbeddings, bias);
}

internal sealed class BertOnlyMLMHead : Module<Tensor, Tensor, Tensor>
{
    private readonly BertLMPredictionHead predictions;

    public BertOnlyMLMHead(BertConfig config) : base(nameof(BertOnlyMLMHead))
    {
        predictions = new(config);
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden, Tensor wordEmbeddings) => predictions.call(hidden, wordEmbeddings);
}

public sealed class BertForMaskedLM : PretrainedModel
{
    private readonly BertModel bert;
    private readonly BertOnlyMLMHead cls;

    public BertForMaskedLM(BertConfig config) : base(config)
    {
        (bert, cls) = (new(config, addPoolingLayer: false), new(config));
        RegisterComponents();
    }

    public override string BaseModelPrefix => nameof(bert);

    public override IReadOnlyDictionary<string, string> StoredCopies { get; } = new Dictionary<string, string>
    {
        ["cls.predictions.bias"] = "cls.predictions.decoder.bias",
        ["bert.embeddings.word_embeddings.weight"] = "cls.predictions.decoder.weight",
    };

    public override Tensor forward(ModelInputs inputs) => cls.call(inputs.Kept(bert.call(inputs)), bert.WordEmbeddings);
}
