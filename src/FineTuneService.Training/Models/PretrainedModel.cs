using System.Collections.ObjectModel;
using FineTuneService.Training.Models.Layers;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FineTuneService.Training.Models;

/// <summary>What a batch gives to a model.</summary>
/// <param name="InputIds"><c>[batch, seq]</c>, int64.</param>
/// <param name="AttentionMask"><c>[batch, seq]</c>, 1 for tokens and 0 for padding; null when nothing is padded.</param>
/// <param name="TokenTypeIds"><c>[batch, seq]</c>, 0 for the first text and 1 for the second; null when all are 0.</param>
public readonly record struct ModelInputs(Tensor InputIds, Tensor? AttentionMask = null, Tensor? TokenTypeIds = null)
{
    /// <summary><c>[batch, seq]</c>, int64: where a token stands in its document; null when every row is one document, from 0.</summary>
    public Tensor? PositionIds { get; init; }

    /// <summary><c>[batch, seq]</c>, int64: which of the documents packed into a row a token belongs to; attention never leaves its document. Null when a row is one document.</summary>
    public Tensor? DocumentIds { get; init; }

    /// <summary>What was read before these tokens, for generation: <see cref="AttentionMask"/> then covers it too, <c>[batch, past + seq]</c>. Null: nothing was.</summary>
    public KeyValueCache? Cache { get; init; }

    /// <summary><c>[tokens]</c>, int64: places in the flattened <c>[batch · seq]</c> that are no padding, each row's first among them; an encoder computes no others. Null: all.</summary>
    public Tensor? TokenPlaces { get; init; }

    /// <summary>Of how many tokens at the end a causal model gives logits; 0: of all.</summary>
    public int LogitsToKeep { get; init; }

    /// <summary><c>[kept]</c>, int64: places in the flattened <c>[batch · seq]</c> whose logits a masked model gives, <c>[kept, vocabulary]</c>; null: all, <c>[batch, seq, vocabulary]</c>.</summary>
    public Tensor? LogitPositions { get; init; }

    public ModelInputs To(Device device) => new(InputIds.to(device), AttentionMask?.to(device), TokenTypeIds?.to(device))
    {
        PositionIds = PositionIds?.to(device),
        DocumentIds = DocumentIds?.to(device),
        Cache = Cache,
        LogitsToKeep = LogitsToKeep,
        LogitPositions = LogitPositions?.to(device),
        TokenPlaces = TokenPlaces?.to(device),
    };

    /// <summary>The hidden states whose logits are wanted, <c>[batch, seq, hidden] → [batch, kept, hidden]</c>, or <c>[kept, hidden]</c> by <see cref="LogitPositions"/>.</summary>
    public Tensor Kept(Tensor hidden) =>
        LogitPositions is not null ? hidden.flatten(0, 1).index_select(0, LogitPositions)
        : LogitsToKeep == 0 ? hidden
        : hidden[.., ^LogitsToKeep..];

    /// <summary>The hidden state of each row's last token that is not padding, <c>[batch, seq, hidden] → [batch, hidden]</c>: by the mask, and by the padding id, which is all that transformers looks at.</summary>
    public Tensor LastToken(Tensor hidden, int? padTokenId)
    {
        var (rows, length) = (hidden.size(0), hidden.size(1));
        var real = AttentionMask ?? ones_like(InputIds);
        if (padTokenId is { } padding)
            real = real * InputIds.ne(padding);
        var last = (real * arange(length, device: hidden.device)).argmax(1); // [batch]
        return hidden[arange(rows, dtype: ScalarType.Int64, device: hidden.device), last];
    }

    public void Dispose()
    {
        foreach (var tensor in new[] { InputIds, AttentionMask, TokenTypeIds, PositionIds, DocumentIds, LogitPositions, TokenPlaces })
            tensor?.Dispose();
    }
}

/// <summary>
/// A transformers model with its head. Fields carry the hub's names, so the state dict is the layout of model.safetensors.
/// Weights are allocated but not set: load them, or call <see cref="InitializeWeights"/>.
/// </summary>
public abstract class PretrainedModel(PretrainedConfig config) : Module<ModelInputs, Tensor>("model")
{
    /// <summary>The families' names of the table of words.</summary>
    private static readonly string[] WordTables = ["word_embeddings", "embed_tokens", "tok_embeddings", "wte"];

    public PretrainedConfig Config => config;

    /// <summary>transformers' name of this class, for config.json's <c>architectures</c>.</summary>
    public virtual string Architecture => GetType().Name;

    /// <summary>The field that holds the model without its head, such as <c>bert</c>. Checkpoints of the bare model lack this prefix.</summary>
    public abstract string BaseModelPrefix { get; }

    /// <summary>Tensors that are one with another, and under whose names some files store them, or store them again.</summary>
    public virtual IReadOnlyDictionary<string, string> StoredCopies => ReadOnlyDictionary<string, string>.Empty;

    /// <summary>The field whose tensors are needed in training only: a checkpoint keeps them in a file of their own, so that model.safetensors is what the hub knows. Null: none.</summary>
    public virtual string? TrainingOnlyPrefix => null;

    /// <summary>True for a tensor that a pre-trained checkpoint may lack, because the task brings it anew.</summary>
    public virtual bool IsNewForTask(string key) => !key.StartsWith(BaseModelPrefix + ".", StringComparison.Ordinal);

    /// <summary>Set while the model computes in a shorter type than it is trained and stored in.</summary>
    public MasterWeights? Masters { get; private set; }

    /// <summary>The type of its tensors in a forward pass; logits come in it.</summary>
    public ScalarType ComputeType { get; private set; } = ScalarType.Float32;

    /// <summary>Computes in <paramref name="type"/> from now on. To be called when weights are loaded and the trained ones chosen.</summary>
    /// <param name="keepFrozen">Whether <see cref="ExactState"/> must have what is not trained in full precision too.</param>
    public void ComputeIn(ScalarType type, bool keepFrozen = false)
    {
        if (type == ComputeType)
            return;
        Masters = MasterWeights.Shorten(this, type, keepFrozen);
        ComputeType = type;
    }

    /// <summary>Keeps of each block its input only, and computes the rest again for the gradient: less memory, a third more time.</summary>
    public void EnableGradientCheckpointing()
    {
        foreach (var blocks in modules().OfType<ICheckpointable>())
            blocks.GradientCheckpointing = true;
    }

    /// <summary>Adds noise to the embeddings of words while training (NEFTune, arXiv:2310.05914).</summary>
    public void AddEmbeddingNoise(double alpha)
    {
        foreach (var (path, module) in named_modules())
            if (module is Embedding table && path.StartsWith(BaseModelPrefix + ".", StringComparison.Ordinal) && WordTables.Contains(path.Split('.')[^1]))
                table.NoiseAlpha = alpha;
    }

    /// <summary>What a checkpoint holds: <c>state_dict</c>, in the precision of training.</summary>
    public IEnumerable<(string Key, Tensor Tensor)> ExactState() => state_dict().Select(entry => (entry.Key, Masters?.Exact(entry.Key, entry.Value) ?? entry.Value));

    protected override void Dispose(bool disposing)
    {
        Masters?.Dispose();
        base.Dispose(disposing);
    }

    /// <summary>Weights in all, however they are stored.</summary>
    public long ParameterCount => parameters().Sum(parameter => parameter.numel()) + modules().OfType<AdaptableLayer>().Sum(layer => layer.Quantized?.Count ?? 0);

    /// <summary>
    /// Sets the tensors of <paramref name="keys"/> as transformers does: matrices from N(0, initializer_range), biases 0, norm weights 1, padding rows 0.
    /// </summary>
    public void InitializeWeights(IReadOnlySet<string> keys, Generator generator)
    {
        using var _ = no_grad();
        foreach (var (path, module) in named_modules())
            foreach (var (name, parameter) in module.named_parameters(recurse: false))
                if (keys.Contains($"{path}.{name}"))
                    Initialize(module, name, parameter, generator);
    }

    /// <summary>Sets one parameter of a module, without gradients.</summary>
    protected virtual void Initialize(Module module, string name, Tensor parameter, Generator generator)
    {
        if (name == "bias")
            parameter.zero_();
        else if (module is LayerNorm or RmsNorm)
            parameter.fill_(module is RmsNorm { AroundOne: true } ? 0 : 1);
        else
            parameter.normal_(0, config.InitializerRange, generator);
        if (module is Embedding { PaddingIndex: { } padding })
            parameter[padding].zero_();
    }
}
