using System.Runtime.InteropServices;
using FineTuneService.Training.Data;
using FineTuneService.Training.Native;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace FineTuneService.Training.Models.Layers;

/// <summary>
/// The gradient of a large table on the host, of those rows alone that were looked up. A step looks at few words of a vocabulary; autograd would make, clear and add up a gradient as large as the table.
/// </summary>
internal sealed unsafe class RowGradient
{
    /// <summary>Numbers that a table must have to be worth it.</summary>
    public const long Smallest = 1 << 20;

    private const int Absent = -1;

    private readonly Parameter _table; // [count, dim]
    private readonly int[] _places;
    private readonly bool[] _areLearnt;
    private readonly float[] _nothing;
    private readonly List<(Tensor Rows, Tensor Copies)> _lookups = [];
    private bool _knowsLearnt;

    public RowGradient(Parameter table)
    {
        _table = table;
        var count = checked((int)table.size(0));
        (_places, _areLearnt, _nothing) = (GC.AllocateUninitializedArray<int>(count, pinned: true), GC.AllocateArray<bool>(count, pinned: true), GC.AllocateArray<float>((int)table.size(1), pinned: true));
        Array.Fill(_places, Absent);
    }

    /// <summary>A table's rows for a loop over its numbers; of width 0 where the gradient is one of the whole table.</summary>
    public struct View
    {
        public long Width;

        /// <summary>Of every row, its place in the gradient, or less than 0.</summary>
        public int* Places;

        /// <summary>Of every row, whether it has ever had a gradient.</summary>
        public bool* AreLearnt;

        /// <summary>The gradient of a row that has none now.</summary>
        public float* Nothing;
    }

    /// <summary>Rows that have a gradient, <c>[rows]</c>, int64; null: none has.</summary>
    public Tensor? Rows { get; private set; }

    /// <summary>What it is, <c>[rows, dim]</c>, fp32.</summary>
    public Tensor? Values { get; private set; }

    /// <summary>Rows by ids, <c>[…] → […, dim]</c>, whose gradient comes here.</summary>
    /// <param name="padding">An id whose row takes none; null: all do.</param>
    public Tensor LookUp(Tensor ids, int? padding)
    {
        var (rows, places, paddingPlace) = Distinct(ids, padding);
        var copies = _table.detach().index_select(0, rows).requires_grad_();
        _lookups.Add((rows, copies));
        return TorchScript.Embedding(copies, places, paddingPlace);
    }

    /// <summary>Takes what a backward pass has brought.</summary>
    public void Collect()
    {
        using var _ = no_grad();
        foreach (var (rows, copies) in _lookups)
            if (copies.grad is { } gradient)
                Add(rows, gradient.to(ScalarType.Float32));
        _lookups.Clear();
    }

    /// <summary>Adds all of it to a gradient of the whole table.</summary>
    public void MoveTo(Tensor whole)
    {
        if (Rows is null)
            return;
        using var _ = no_grad();
        whole.index_add_(0, Rows, Values!, 1);
        Clear();
    }

    public void Clear()
    {
        if (Rows is not null)
            Mark(hasPlaces: false);
        Rows?.Dispose();
        Values?.Dispose();
        (Rows, Values) = (null, null);
    }

    /// <summary>Until it is cleared.</summary>
    /// <param name="state">What an optimizer remembers of the table, <c>[count, dim]</c> each: where it is 0, a row has not been learnt.</param>
    public View Show(params ReadOnlySpan<Tensor> state)
    {
        if (!_knowsLearnt)
        {
            using var scope = NewDisposeScope();
            var extremes = stack([.. state.ToArray().SelectMany(remembered => new[] { remembered.amax([1]), remembered.amin([1]) })]); // [4, count]: no tensor as large as the table
            extremes.ne(0).any(0).bytes.CopyTo(MemoryMarshal.AsBytes(_areLearnt.AsSpan()));
            _knowsLearnt = true;
        }
        Mark(hasPlaces: true);
        return new() { Width = _nothing.Length, Places = First(_places), AreLearnt = First(_areLearnt), Nothing = First(_nothing) };
    }

    /// <summary>To be called when an optimizer's state has been set.</summary>
    public void Forget() => _knowsLearnt = false;

    private void Mark(bool hasPlaces)
    {
        var rows = Numbers.Of<long>(Rows!);
        for (var place = 0; place < rows.Length; place++)
        {
            _places[rows[place]] = hasPlaces ? place : Absent;
            _areLearnt[rows[place]] |= hasPlaces;
        }
    }

    private void Add(Tensor rows, Tensor gradient)
    {
        using var scope = NewDisposeScope();
        if (Rows is not null)
        {
            var (all, places, _) = Distinct(cat([Rows, rows]));
            gradient = zeros(all.size(0), gradient.size(1)).index_add_(0, places, cat([Values!, gradient]), 1);
            rows = all;
            Clear();
        }
        (Rows, Values) = (rows.DetachFromDisposeScope(), gradient.DetachFromDisposeScope());
    }

    /// <summary>Each id once, in the order of its first place, and for each place which of them stands there.</summary>
    private (Tensor Rows, Tensor Places, int Padding) Distinct(Tensor ids, int? padding = null)
    {
        var given = ids.contiguous();
        var (places, rows) = (empty_like(given), empty_like(given).view(-1)); // int64
        Span<long> id = Numbers.Of<long>(given), place = Numbers.Of<long>(places), row = Numbers.Of<long>(rows);
        var count = 0;
        for (var i = 0; i < id.Length; i++)
        {
            ref var known = ref _places[id[i]];
            if (known == Absent)
                row[known = count++] = id[i];
            place[i] = known;
        }
        var paddingPlace = padding is { } at ? _places[at] : Absent;
        for (var i = 0; i < count; i++)
            _places[row[i]] = Absent;
        return (rows[..count], places, paddingPlace);
    }

    private static T* First<T>(T[] pinned) where T : unmanaged => (T*)Marshal.UnsafeAddrOfPinnedArrayElement(pinned, 0);
}
