using System.Runtime.CompilerServices;

namespace FineTuneService.Training.ChatTemplates.Jinja.Values;

/// <summary>Python's <c>==</c>: True == 1 == 1.0, containers by content. Also the hash of dict keys.</summary>
internal sealed class PythonEquality : IEqualityComparer<object>
{
    public static readonly PythonEquality Instance = new();

    bool IEqualityComparer<object>.Equals(object? x, object? y) => AreEqual(x!, y!, null);

    public int GetHashCode(object key) => key switch
    {
        string text => string.GetHashCode(text),
        Markup markup => string.GetHashCode(markup.Text),
        bool truth => truth ? 1 : 0,
        long integer => integer.GetHashCode(),
        double real when real == Math.Truncate(real) && Math.Abs(real) < long.MaxValue => ((long)real).GetHashCode(),
        Undefined => 0,
        _ => key.GetHashCode(),
    };

    /// <summary>Whether it can be a key. Python's tuples can; here a key is short and flat, so that looking it up costs nothing.</summary>
    public static bool IsHashable(object key) => key is not (SequenceValue or DictValue or NamespaceValue);

    /// <param name="left">Any value.</param>
    /// <param name="right">Any value.</param>
    /// <param name="run">Pays; null inside a dict's look-up, which its caller has paid for.</param>
    public static bool AreEqual(object left, object right, Rendering? run)
    {
        if (PythonText.TryGet(left, out var leftText))
        {
            if (!PythonText.TryGet(right, out var rightText) || leftText.Length != rightText.Length)
                return false;
            run?.ChargeText(leftText.Length);
            return leftText == rightText;
        }
        if (PythonNumber.Is(left))
            return PythonNumber.Is(right) && PythonNumber.Compare(left, right) == 0;
        run?.Step();
        return (left, right) switch
        {
            (Undefined, Undefined) => true,
            (ListValue x, ListValue y) => SameItems(x.Items, y.Items, run),
            (TupleValue x, TupleValue y) => SameItems(x.Items, y.Items, run),
            (DictValue x, DictValue y) => SameEntries(x, y, run),
            _ => ReferenceEquals(left, right),
        };
    }

    private static bool SameItems(object[] left, object[] right, Rendering? run)
    {
        RuntimeHelpers.EnsureSufficientExecutionStack();
        if (left.Length != right.Length)
            return false;
        for (var i = 0; i < left.Length; i++)
        {
            run?.Step();
            if (!AreEqual(left[i], right[i], run))
                return false;
        }
        return true;
    }

    private static bool SameEntries(DictValue left, DictValue right, Rendering? run)
    {
        RuntimeHelpers.EnsureSufficientExecutionStack();
        if (left.Count != right.Count)
            return false;
        foreach (var (key, value) in left)
        {
            run?.Step();
            if (!right.TryGetValue(key, out var other) || !AreEqual(value, other, run))
                return false;
        }
        return true;
    }
}
