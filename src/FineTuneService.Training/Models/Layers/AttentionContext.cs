using static TorchSharp.torch;

namespace FineTuneService.Training.Models.Layers;

/// <summary>What the layers of a decoder share in one forward pass: where tokens stand, which they may see, and what was read before.</summary>
public sealed class AttentionContext
{
    private readonly ModelInputs _inputs;
    private readonly long _past, _length;
    private readonly Dictionary<long, Tensor> _masks = [];

    /// <param name="rotary">Of a decoder that turns its queries and keys by their positions.</param>
    /// <param name="windows">The layers': their masks are made here, where they outlive every layer.</param>
    /// <exception cref="ArgumentException">When a cache meets packed documents.</exception>
    public AttentionContext(ModelInputs inputs, RotaryEmbedding? rotary, IEnumerable<int?> windows, bool explicitMasks = false)
    {
        if (inputs is { Cache: not null, DocumentIds: not null })
            throw new ArgumentException("Packed documents are for training; a cache is for generation.", nameof(inputs));
        _inputs = inputs;
        _past = inputs.Cache?.Length ?? 0;
        _length = _past + inputs.InputIds.size(1);
        Positions = inputs.PositionIds ?? PositionsOf(inputs, _past, _length);
        Rotation = rotary?.At(Positions) ?? default;
        foreach (var window in windows)
            _ = explicitMasks ? ExplicitMask(window) : Mask(window);
    }

    /// <summary><c>[batch or 1, seq]</c>, int64: where a token stands in its document.</summary>
    public Tensor Positions { get; }

    public KeyValueCache? Cache => _inputs.Cache;

    public Rotation Rotation { get; }

    /// <summary>True where "no token sees a later one" is the whole rule, for which kernels need no mask.</summary>
    /// <param name="window">How many tokens a token sees, itself among them; null: all.</param>
    public bool IsCausal(int? window) => !IsMasked(window) && _past == 0 && _length > 1;

    /// <summary>True where a key may be seen, <c>[batch or 1, 1, seq, past + seq]</c>; null where all may, or where <see cref="IsCausal"/> says it.</summary>
    public Tensor? Mask(int? window) => IsMasked(window) || (_past > 0 && _length - _past > 1) ? ExplicitMask(window) : null;

    /// <summary>The same, never null.</summary>
    public Tensor ExplicitMask(int? window)
    {
        var reach = Math.Min(window ?? _length, _length);
        if (!_masks.TryGetValue(reach, out var mask))
            _masks.Add(reach, mask = CreateMask(reach));
        return mask;
    }

    private bool IsMasked(int? window) => _inputs.AttentionMask is not null || _inputs.DocumentIds is not null || window < _length;

    private Tensor CreateMask(long reach)
    {
        var device = _inputs.InputIds.device;
        var keys = arange(_length, dtype: ScalarType.Int64, device: device);
        var queries = keys[TensorIndex.Slice(_past)].unsqueeze(1);
        var seen = keys.le(queries); // [seq, past + seq]
        if (reach < _length)
            seen = seen.logical_and(keys.gt(queries - reach));
        seen = seen.unsqueeze(0).unsqueeze(0);
        if (_inputs.DocumentIds is { } documents)
            seen = seen.logical_and(documents.unsqueeze(1).unsqueeze(3).eq(documents.unsqueeze(1).unsqueeze(2)));
        if (_inputs.AttentionMask is { } padding)
        {
            seen = seen.logical_and(Attention.PaddingMask(padding)!);
            // Padding that sees nothing would be 0 / 0 and spoil the gradients; what it computes is never used.
            seen = seen.logical_or(seen.any(-1, keepdim: true).logical_not());
        }
        return seen;
    }

    /// <summary>Packed documents count from 0 each, where the id changes.</summary>
    private static Tensor PositionsOf(ModelInputs inputs, long past, long length)
    {
        var slots = arange(past, length, dtype: ScalarType.Int64, device: inputs.InputIds.device).unsqueeze(0); // [1, seq]
        if (inputs.DocumentIds is not { } documents || length == 1)
            return slots;
        var starts = nn.functional.pad(documents[.., 1..].ne(documents[.., ..^1]).to(ScalarType.Int64), [1, 0]) * slots;
        return slots - cummax(starts, 1).values;
    }
}
