using System.Text.Json.Serialization;
using FineTuneService.Contracts;
using FineTuneService.Training.Memory;
using FineTuneService.Training.Models.Layers;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Models;

/// <summary>
/// ELECTRA (Clark et al. 2020, arXiv:2003.10555): BERT's encoder over narrower embeddings. The hub has the generator (a masked language model)
/// and the discriminator (which token was replaced?) as models of their own.
/// </summary>
[ModelType("electra")]
public sealed record ElectraConfig : BertConfig
{
    [Size]
    public int EmbeddingSize { get; init; } = 128;

    /// <summary>Set by pre-training: the discriminator then comes with a generator.</summary>
    [JsonIgnore]
    public ElectraGeneratorOptions? Generator { get; init; }

    public override IReadOnlyDictionary<ModelHead, Func<PretrainedModel>> Heads => new Dictionary<ModelHead, Func<PretrainedModel>>
    {
        [ModelHead.SequenceClassification] = () => new ElectraForSequenceClassification(this),
        [ModelHead.TokenClassification] = () => new ElectraForTokenClassification(this),
        [ModelHead.MaskedLm] = () => new ElectraForMaskedLM(this),
        [ModelHead.ReplacedTokenDetection] = () => Generator is null ? new ElectraForPreTraining(this) : new ElectraPair(this, Generator),
    };

    internal override Value Draw(Sketch sketch, ModelHead head)
    {
        sketch.DropPadding();
        var generated = head == ModelHead.ReplacedTokenDetection && Generator is { } generator ? Scaled(generator.Size).DrawGenerator(sketch, "generator", generator.SharesEmbeddings ? "electra" : "generator") : null;
        if (head == ModelHead.MaskedLm)
            return DrawGenerator(sketch, null, "electra");
        var hidden = DrawEncoder(sketch, "electra.encoder", DrawWidened(sketch, "electra", "electra"), head);
        if (head == ModelHead.SequenceClassification)
            return DrawTwoLayers(sketch, hidden, "gelu");
        if (head == ModelHead.TokenClassification)
            return DrawClassifier(sketch, hidden, HeadDropout);
        const string Path = "discriminator_predictions";
        var dense = sketch.Activation(HiddenAct, sketch.Linear($"{Path}.dense", hidden, HiddenSize, HiddenSize));
        var verdicts = sketch.Loss(sketch.Linear($"{Path}.dense_prediction", dense, HiddenSize, 1), 1);
        return generated is null ? verdicts : sketch.Add(verdicts, generated);
    }

    /// <param name="path">Of what is the generator's own; null where it is the model.</param>
    private Value DrawGenerator(Sketch sketch, string? path, string tables)
    {
        var (prefix, model) = path is null ? ("", "electra") : (path + ".", path);
        var hidden = sketch.Kept(DrawEncoder(sketch, $"{model}.encoder", DrawWidened(sketch, tables, model), ModelHead.MaskedLm), HiddenSize);
        var transformed = sketch.Activation("gelu", sketch.Linear($"{prefix}generator_predictions.dense", hidden, HiddenSize, EmbeddingSize));
        var normal = sketch.LayerNorm($"{prefix}generator_predictions.LayerNorm", transformed, EmbeddingSize);
        return sketch.Loss(sketch.Tied($"{tables}.embeddings.word_embeddings", normal, VocabSize, EmbeddingSize, $"{prefix}generator_lm_head.bias"), VocabSize);
    }

    private Value DrawWidened(Sketch sketch, string tables, string model)
    {
        var embedded = DrawEmbeddings(sketch, $"{tables}.embeddings", EmbeddingSize);
        return EmbeddingSize == HiddenSize ? embedded : sketch.Linear($"{model}.embeddings_project", embedded, EmbeddingSize, HiddenSize);
    }

    /// <summary>The same family at a share of its width; heads keep theirs.</summary>
    /// <exception cref="FaultException">When no whole head is left.</exception>
    public ElectraConfig Scaled(double size)
    {
        var heads = (int)Math.Round(NumAttentionHeads * size);
        if (heads < 1)
            throw new FaultException("/task/generator/size", size.ToString(System.Globalization.CultureInfo.InvariantCulture), $"Of the model's {NumAttentionHeads} attention heads none would be left.", FormattableString.Invariant($"Give at least {1.0 / NumAttentionHeads}."));
        return this with { NumAttentionHeads = heads, HiddenSize = HiddenSize / NumAttentionHeads * heads, IntermediateSize = IntermediateSize / NumAttentionHeads * heads };
    }
}

internal sealed class ElectraModel : Module<ModelInputs, Tensor>
{
    private readonly BertEmbeddings embeddings;
    private readonly Linear? embeddings_project;
    private readonly BertEncoder encoder;

    public ElectraModel(ElectraConfig config) : base(nameof(ElectraModel))
    {
        (embeddings, encoder) = (new(config, config.EmbeddingSize), new(config));
        if (config.EmbeddingSize != config.HiddenSize)
            embeddings_project = new(config.EmbeddingSize, config.HiddenSize);
        RegisterComponents();
    }

    public BertEmbeddings Embeddings => embeddings;

    /// <summary><c>[vocabulary, embedding]</c>.</summary>
    public Tensor WordEmbeddings => embeddings.word_embeddings.weight;

    /// <returns>Hidden states of the last layer, <c>[batch, seq, hidden]</c>.</returns>
    public override Tensor forward(ModelInputs inputs) => States(inputs, new EncoderView(inputs));

    /// <returns>Those of the first tokens, <c>[batch, 1, hidden]</c>.</returns>
    public Tensor First(ModelInputs inputs) => States(inputs, new EncoderView(inputs) { FirstOnly = true });

    private Tensor States(ModelInputs inputs, EncoderView view)
    {
        var embedded = embeddings.call(inputs, view);
        return encoder.call(embeddings_project?.call(embedded) ?? embedded, view);
    }
}

/// <summary>Two layers over the first token, <c>[batch, 1, hidden] → [batch, labels]</c>; GELU where BERT has tanh.</summary>
internal sealed class ElectraClassificationHead : Module<Tensor, Tensor>
{
    private readonly Linear dense, out_proj;
    private readonly double _dropout;

    public ElectraClassificationHead(ElectraConfig config) : base(nameof(ElectraClassificationHead))
    {
        (dense, out_proj) = (new(config.HiddenSize, config.HiddenSize), new(config.HiddenSize, config.Labels.Count));
        _dropout = config.HeadDropout;
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden)
    {
        var first = FastDropout.Of(hidden.select(1, 0), _dropout, training);
        return out_proj.call(FastDropout.Of(Gelu.Of(dense.call(first)), _dropout, training));
    }
}

public sealed class ElectraForSequenceClassification : PretrainedModel
{
    private readonly ElectraModel electra;
    private readonly ElectraClassificationHead classifier;

    public ElectraForSequenceClassification(ElectraConfig config) : base(config)
    {
        (electra, classifier) = (new(config), new(config));
        RegisterComponents();
    }

    public override string BaseModelPrefix => nameof(electra);

    public override Tensor forward(ModelInputs inputs) => classifier.call(electra.First(inputs));
}

public sealed class ElectraForTokenClassification : PretrainedModel
{
    private readonly ElectraModel electra;
    private readonly Linear classifier;
    private readonly double _dropout;

    public ElectraForTokenClassification(ElectraConfig config) : base(config)
    {
        (electra, classifier) = (new(config), new(config.HiddenSize, config.Labels.Count));
        _dropout = config.HeadDropout;
        RegisterComponents();
    }

    public override string BaseModelPrefix => nameof(electra);

    public override Tensor forward(ModelInputs inputs) => classifier.call(FastDropout.Of(electra.call(inputs), _dropout, training));
}

/// <summary><c>[batch, seq, hidden] → [batch, seq, embedding]</c>.</summary>
internal sealed class ElectraGeneratorPredictions : Module<Tensor, Tensor>
{
    private readonly Linear dense;
    private readonly LayerNorm LayerNorm;

    public ElectraGeneratorPredictions(ElectraConfig config) : base(nameof(ElectraGeneratorPredictions))
    {
        (dense, LayerNorm) = (new(config.HiddenSize, config.EmbeddingSize), new(config.EmbeddingSize, config.LayerNormEps));
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden) => LayerNorm.call(Gelu.Of(dense.call(hidden)));
}

/// <summary>The generator.</summary>
public sealed class ElectraForMaskedLM : PretrainedModel
{
    private readonly ElectraModel electra;
    private readonly ElectraGeneratorPredictions generator_predictions;
    private readonly TiedDecoder generator_lm_head;

    public ElectraForMaskedLM(ElectraConfig config) : base(config)
    {
        (electra, generator_predictions, generator_lm_head) = (new(config), new(config), new(config.VocabSize));
        RegisterComponents();
    }

    public override string BaseModelPrefix => nameof(electra);

    public override IReadOnlyDictionary<string, string> StoredCopies { get; } = new Dictionary<string, string>
    {
        ["electra.embeddings.word_embeddings.weight"] = "generator_lm_head.weight",
    };

    public override Tensor forward(ModelInputs inputs) => generator_lm_head.call(generator_predictions.call(inputs.Kept(electra.call(inputs))), electra.WordEmbeddings);
}

/// <summary><c>[batch, seq, hidden] → [batch, seq]</c>.</summary>
internal sealed class ElectraDiscriminatorPredictions : Module<Tensor, Tensor>
{
    private readonly Linear dense, dense_prediction;
    private readonly Func<Tensor, Tensor> _activation;

    public ElectraDiscriminatorPredictions(ElectraConfig config) : base(nameof(ElectraDiscriminatorPredictions))
    {
        (dense, dense_prediction) = (new(config.HiddenSize, config.HiddenSize), new(config.HiddenSize, 1));
        _activation = Activations.Named(config.HiddenAct);
        RegisterComponents();
    }

    public override Tensor forward(Tensor hidden) => dense_prediction.call(_activation(dense.call(hidden))).squeeze(-1);
}

/// <summary>The discriminator.</summary>
public sealed class ElectraForPreTraining : PretrainedModel
{
    private readonly ElectraModel electra;
    private readonly ElectraDiscriminatorPredictions discriminator_predictions;

    public ElectraForPreTraining(ElectraConfig config) : base(config)
    {
        (electra, discriminator_predictions) = (new(config), new(config));
        RegisterComponents();
    }

    public override string BaseModelPrefix => nameof(electra);

    public override Tensor forward(ModelInputs inputs) => discriminator_predictions.call(electra.call(inputs));
}
