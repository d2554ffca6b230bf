using static TorchSharp.torch;

namespace FineTuneService.Training.Models.Layers;

/// <summary>
/// What the blocks of an encoder share in one forward pass. Layers that look at one token at a time are spared the padding: they get <c>[tokens, hidden]</c>, and only attention sees rows,
/// <c>[batch, seq, hidden]</c>. Without padding it is rows all along.
/// </summary>
internal sealed record EncoderView
{
    private readonly Tensor? _places; // [tokens]: where in [batch · seq] each stands
    private readonly Tensor? _slots; // [batch · seq]: which token stands there; in padding the one before it, which nobody looks at
    private readonly long _length;
    private readonly Device _device;

    public EncoderView(ModelInputs inputs)
    {
        (_places, _length, _device) = (inputs.TokenPlaces, inputs.InputIds.size(1), inputs.InputIds.device);
        Mask = Attention.PaddingMask(inputs.AttentionMask);
        if (_places is not null)
            _slots = inputs.AttentionMask!.flatten().cumsum(0) - 1;
    }

    /// <summary>True where a key may be seen, <c>[batch, 1, 1, seq]</c>; null when all may.</summary>
    public Tensor? Mask { get; }

    /// <summary>Nobody asks for more than each row's first token: the last block computes no other, <c>[batch, 1, hidden]</c>.</summary>
    public bool FirstOnly { get; init; }

    /// <summary>For every block but the last.</summary>
    public EncoderView OfAll => FirstOnly ? this with { FirstOnly = false } : this;

    /// <summary>Where in its row each token stands, <c>[seq]</c> or <c>[tokens]</c>.</summary>
    public Tensor Positions => _places?.remainder(_length) ?? arange(_length, dtype: ScalarType.Int64, device: _device);

    /// <param name="rows"><c>[batch, seq, …]</c>; the result <c>[tokens, …]</c>, where there is padding.</param>
    public Tensor Tokens(Tensor rows) => _places is null ? rows : rows.flatten(0, 1).index_select(0, _places);

    /// <summary>Of the words; the noise that training may add to them is made for rows, whose length says how much of it there is.</summary>
    /// <param name="ids"><c>[batch, seq]</c>.</param>
    public Tensor Embedded(Embedding words, Tensor ids) => words.IsNoisy ? Tokens(words.call(ids)) : words.call(Tokens(ids));

    /// <summary>The other way round of <see cref="Tokens"/>.</summary>
    public Tensor Rows(Tensor tokens) => _slots is null ? tokens : tokens.index_select(0, _slots).unflatten(0, -1, _length);

    /// <summary>The states that a block computes anew: all, or those of the first tokens.</summary>
    public Tensor Wanted(Tensor hidden) =>
        !FirstOnly ? hidden
        : _slots is null ? hidden.narrow(1, 0, 1)
        : hidden.index_select(0, _slots.view(-1, _length).select(1, 0)).unsqueeze(1);

    /// <summary>Attention of what is <see cref="Wanted"/> to all tokens.</summary>
    /// <param name="query">As <see cref="Wanted"/> gave it, projected; as is the result.</param>
    /// <param name="key">Of all tokens, as is <paramref name="value"/>.</param>
    public Tensor Attend(Tensor query, Tensor key, Tensor value, long heads, double dropout)
    {
        var attended = Attention.Bidirectional(FirstOnly ? query : Rows(query), Rows(key), Rows(value), heads, Mask, dropout);
        return FirstOnly ? attended : Tokens(attended);
    }
}
