using static TorchSharp.torch;

namespace FineTuneService.Training.Models.Layers;

/// <summary>
/// The keys and values of the tokens that a decoder has read, one entry a layer, so that the next token costs one token.
/// Holds for inference only: it is written in place, past the gradients.
/// </summary>
public sealed class KeyValueCache : IDisposable
{
    /// <summary>Room is made in such steps at least, and doubled where that is more.</summary>
    private const long Chunk = 64;

    private readonly List<Entry> _layers = [];

    /// <summary>Tokens in it, padding included. Grows when the first layer has been through.</summary>
    public long Length => _layers.Count == 0 ? 0 : _layers[0].Length;

    /// <summary>Adds what a layer made of new tokens, and returns what it has of all: <c>[batch, heads, seq, head] → [batch, heads, Length, head]</c>.</summary>
    public (Tensor Keys, Tensor Values) Append(int layer, Tensor keys, Tensor values)
    {
        if (layer == _layers.Count)
            _layers.Add(new());
        return _layers[layer].Append(keys, values);
    }

    public void Clear()
    {
        foreach (var layer in _layers)
            layer.Dispose();
        _layers.Clear();
    }

    public void Dispose() => Clear();

    private sealed class Entry : IDisposable
    {
        private Tensor? _keys, _values; // [batch, heads, capacity, head]

        public long Length { get; private set; }

        public (Tensor, Tensor) Append(Tensor keys, Tensor values)
        {
            var length = Length + keys.size(2);
            if (_keys is null || length > _keys.size(2))
            {
                var capacity = Math.Max(length + Chunk, 2 * Length);
                (_keys, _values) = (Grown(_keys, keys, capacity), Grown(_values, values, capacity));
            }
            _keys.narrow(2, Length, keys.size(2)).copy_(keys);
            _values!.narrow(2, Length, keys.size(2)).copy_(values);
            Length = length;
            return (_keys.narrow(2, 0, length), _values.narrow(2, 0, length));
        }

        public void Dispose()
        {
            _keys?.Dispose();
            _values?.Dispose();
        }

        private Tensor Grown(Tensor? old, Tensor sample, long capacity)
        {
            var grown = empty([sample.size(0), sample.size(1), capacity, sample.size(3)], sample.dtype, sample.device).DetachFromDisposeScope();
            if (old is not null)
                grown.narrow(2, 0, Length).copy_(old.narrow(2, 0, Length));
            old?.Dispose();
            return grown;
        }
    }
}
