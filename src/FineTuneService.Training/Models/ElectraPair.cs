using FineTuneService.Training.Models.Layers;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Models;

/// <summary>The generator beside a discriminator in training.</summary>
/// <param name="Size">Its width, heads and feed-forward width as a share of the discriminator's.</param>
/// <param name="SharesEmbeddings">Whether both read the same tables.</param>
public sealed record ElectraGeneratorOptions(double Size, bool SharesEmbeddings);

internal sealed class ElectraGenerator : Module<ModelInputs, BertEmbeddings, Tensor>
{
    private readonly BertEmbeddings? embeddings; // Null: the discriminator's are shared.
    private readonly Linear? embeddings_project;
    private readonly BertEncoder encoder;
    private readonly ElectraGeneratorPredictions generator_predictions;
    private readonly TiedDecoder generator_lm_head;

    public ElectraGenerator(ElectraConfig config, bool sharesEmbeddings) : base(nameof(ElectraGenerator))
    {
        if (!sharesEmbeddings)
            embeddings = new(config, config.EmbeddingSize);
        if (config.EmbeddingSize != config.HiddenSize)
            embeddings_project = new(config.EmbeddingSize, config.HiddenSize);
        (encoder, generator_predictions, generator_lm_head) = (new(config), new(config), new(config.VocabSize));
        RegisterComponents();
    }

    /// <param name="shared">The discriminator's tables.</param>
    public override Tensor forward(ModelInputs inputs, BertEmbeddings shared)
    {
        var (tables, view) = (embeddings ?? shared, new EncoderView(inputs));
        var embedded = tables.call(inputs, view);
        var hidden = encoder.call(embeddings_project?.call(embedded) ?? embedded, view);
        return generator_lm_head.call(generator_predictions.call(inputs.Kept(hidden)), tables.word_embeddings.weight);
    }
}

/// <summary>
/// Discriminator and generator, trained together: the artifact is the discriminator, <c>ElectraForPreTraining</c> on the hub.
/// The generator's tensors stand beside it, for a resumed run.
/// </summary>
public sealed class ElectraPair : PretrainedModel
{
    private readonly ElectraModel electra;
    private readonly ElectraDiscriminatorPredictions discriminator_predictions;
    private readonly ElectraGenerator generator;

    public ElectraPair(ElectraConfig config, ElectraGeneratorOptions options) : base(config)
    {
        (electra, discriminator_predictions) = (new(config), new(config));
        generator = new(config.Scaled(options.Size), options.SharesEmbeddings);
        RegisterComponents();
    }

    public override string Architecture => nameof(ElectraForPreTraining);

    public override string BaseModelPrefix => nameof(electra);

    public override string TrainingOnlyPrefix => nameof(generator);

    /// <summary>The discriminator's logits, <c>[batch, seq]</c>.</summary>
    public override Tensor forward(ModelInputs inputs) => discriminator_predictions.call(electra.call(inputs));

    /// <summary>The generator's logits, <c>[batch, seq, vocabulary]</c>, or those of <see cref="ModelInputs.LogitPositions"/>, <c>[kept, vocabulary]</c>.</summary>
    public Tensor Generate(ModelInputs inputs) => generator.call(inputs, electra.Embeddings);
}
