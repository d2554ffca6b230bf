using System.Runtime.InteropServices;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tasks;
using static TorchSharp.torch;

namespace FineTuneService.Training.Data;

/// <summary>
/// A batch for a causal model in the making. Labels <c>[rows, seq]</c> stand where their tokens stand; a text's first token is never one, so no label crosses from one text to the next.
/// Positions begin at 0 with every text; padding is a text of its own.
/// </summary>
internal sealed class CausalBatch
{
    /// <summary>The largest share of tokens with which it pays to choose those that are learnt. Above it are texts that are learnt as a whole.</summary>
    private const double WorthChoosing = 0.95;

    private readonly Tensor _ids, _labels;
    private readonly Tensor? _positions, _documents, _weights;
    private readonly (int Tokens, int Documents)[] _rows;
    private readonly List<long> _places = [];
    private readonly int _width;
    private double _targets;

    /// <param name="isPacked">Whether a row may get several texts.</param>
    /// <param name="hasShares">Whether there are weights other than 0 and 1.</param>
    public CausalBatch(int height, int width, bool isPacked, bool hasShares, long padding)
    {
        (_rows, _width) = (new (int, int)[height], width);
        _ids = Filled(padding);
        _labels = Filled(LanguageModelLoss.Ignored);
        (_positions, _documents) = isPacked ? (Filled(0), Filled(-1)) : (null, null);
        if (!hasShares)
            return;
        _weights = empty(height, width);
        Numbers.Of<float>(_weights).Clear();

        Tensor Filled(long value) => Numbers.Filled(value, height, width);
    }

    /// <summary>Puts a text behind those that the row has already.</summary>
    /// <param name="weights">None: all tokens are learnt.</param>
    public void Add(int row, ReadOnlySpan<int> ids, ReadOnlySpan<float> weights)
    {
        var at = row * _width + _rows[row].Tokens;
        Span<long> inputs = Numbers.Of<long>(_ids)[at..], labels = Numbers.Of<long>(_labels)[at..];
        var shares = _weights is null ? default : Numbers.Of<float>(_weights)[at..];
        for (var position = 0; position < ids.Length; position++)
        {
            inputs[position] = ids[position];
            var weight = weights.IsEmpty ? 1 : weights[position];
            if (position == 0 || weight <= 0)
                continue;
            labels[position] = ids[position];
            _places.Add(at + position - 1);
            _targets += weight;
            if (!shares.IsEmpty)
                shares[position] = weight;
        }
        if (_positions is not null)
        {
            var positions = Numbers.Of<long>(_positions)[at..];
            for (var position = 0; position < ids.Length; position++)
                positions[position] = position;
            Numbers.Of<long>(_documents!).Slice(at, ids.Length).Fill(_rows[row].Documents);
        }
        _rows[row] = (_rows[row].Tokens + ids.Length, _rows[row].Documents + 1);
    }

    public Batch ToBatch()
    {
        var inputs = new ModelInputs(_ids) { PositionIds = _positions, DocumentIds = _documents }; // No mask: padding comes last, and no token sees a later one.
        return new(inputs, _labels, _rows.Length, _rows.Sum(row => row.Tokens), _targets)
        {
            Weights = _weights,
            LearntPlaces = _places.Count <= WorthChoosing * _labels.numel() ? Numbers.Of(_places) : null,
        };
    }

    /// <summary>Whether a weight is neither 0 nor 1.</summary>
    public static bool HasShares(ReadOnlySpan<float> weights) => weights.ContainsAnyExcept(0f, 1f);
}

/// <summary>Tensors whose memory is written directly. No scalar goes to libtorch here: these are made on a thread of their own, while another may collect garbage.</summary>
internal static class Numbers
{
    /// <summary>The numbers of a contiguous tensor in this process' memory.</summary>
    public static Span<T> Of<T>(Tensor tensor) where T : unmanaged => MemoryMarshal.Cast<byte, T>(tensor.bytes);

    /// <returns><c>[count]</c>, int64.</returns>
    public static Tensor Of(List<long> values)
    {
        var numbers = empty(values.Count, ScalarType.Int64);
        CollectionsMarshal.AsSpan(values).CopyTo(Of<long>(numbers));
        return numbers;
    }

    public static Tensor Filled(long value, params ReadOnlySpan<long> shape)
    {
        var numbers = empty(shape, ScalarType.Int64);
        Of<long>(numbers).Fill(value);
        return numbers;
    }
}
