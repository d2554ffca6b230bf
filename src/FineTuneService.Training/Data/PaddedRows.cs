using FineTuneService.Training.Models;
using static TorchSharp.torch;

namespace FineTuneService.Training.Data;

/// <summary>Rows for an encoder in the making, padded on the right: <c>[rows, width]</c>; no mask where nothing is padded.</summary>
internal sealed class PaddedRows(int height, int width, long padding, bool withTypes)
{
    /// <summary>The largest share of tokens with which it pays to take the padding out for some layers and put it in for others.</summary>
    internal const double WorthPacking = 0.9;

    private readonly Tensor _ids = Numbers.Filled(padding, height, width);
    private readonly Tensor _mask = Numbers.Filled(0, height, width);
    private readonly Tensor? _types = withTypes ? Numbers.Filled(0, height, width) : null;
    private readonly int[] _lengths = new int[height];

    /// <summary>Tokens that are not padding.</summary>
    public int Tokens => _lengths.Sum();

    /// <summary>Puts tokens behind those that the row has already.</summary>
    public void Add(int row, ReadOnlySpan<int> ids, ReadOnlySpan<int> types = default)
    {
        var at = row * width + _lengths[row];
        var inputs = Numbers.Of<long>(_ids).Slice(at, ids.Length);
        for (var token = 0; token < ids.Length; token++)
            inputs[token] = ids[token];
        if (_types is not null)
            for (var token = 0; token < ids.Length; token++)
                Numbers.Of<long>(_types)[at + token] = types[token];
        Numbers.Of<long>(_mask).Slice(at, ids.Length).Fill(1);
        _lengths[row] += ids.Length;
    }

    /// <summary>The ids that a row has got, to be changed further.</summary>
    public Span<long> Row(int row) => Numbers.Of<long>(_ids).Slice(row * width, _lengths[row]);

    public ModelInputs ToInputs()
    {
        if (Tokens < height * width)
            return new(_ids, _mask, _types) { TokenPlaces = Tokens <= WorthPacking * height * width && !_lengths.Contains(0) ? Places() : null };
        _mask.Dispose();
        return new(_ids, null, _types);
    }

    private Tensor Places()
    {
        var places = Numbers.Filled(0, Tokens);
        var all = Numbers.Of<long>(places);
        for (var (row, at) = (0, 0); row < height; row++)
            for (var token = 0; token < _lengths[row]; token++)
                all[at++] = (long)row * width + token;
        return places;
    }
}
