namespace FineTuneService.Contracts;

/// <summary>Something the user can mend: where it is, what stood there, what is wrong with it and the way out.</summary>
/// <param name="Pointer">JSON pointer into the request (RFC 6901), or <c>file:line</c> for a fault in a data file.</param>
/// <param name="Value">The offending value as it was given, shortened; null when something is missing.</param>
/// <param name="Message">What is wrong, in one sentence.</param>
/// <param name="Remedy">What to do about it, in one sentence.</param>
public sealed record Fault(string Pointer, string? Value, string Message, string Remedy)
{
    public override string ToString() => $"{Pointer}{(Value is null ? "" : $" = {Value}")}: {Message} {Remedy}";
}

/// <summary>Carries every fault found, never only the first. Anything else that is thrown is a defect of ours.</summary>
public sealed class FaultException(IReadOnlyList<Fault> faults) : Exception(string.Join(Environment.NewLine, faults))
{
    public FaultException(string pointer, string? value, string message, string remedy)
        : this([new Fault(pointer, value, message, remedy)]) { }

    public IReadOnlyList<Fault> Faults { get; } = faults;
}

/// <summary>Collects the faults of one request, so that all of them are told at once.</summary>
public sealed class FaultList
{
    private readonly List<Fault> _faults = [];

    public bool Any => _faults.Count > 0;

    public IReadOnlyList<Fault> All => _faults;

    public void Add(Fault fault) => _faults.Add(fault);

    public void Add(string pointer, object? value, string message, string remedy) =>
        _faults.Add(new Fault(pointer, Shorten(value), message, remedy));

    /// <summary>Adds the fault unless <paramref name="holds"/>.</summary>
    public void Require(bool holds, string pointer, object? value, string message, string remedy)
    {
        if (!holds)
            Add(pointer, value, message, remedy);
    }

    /// <exception cref="FaultException">When anything was collected.</exception>
    public void ThrowIfAny()
    {
        if (Any)
            throw new FaultException([.. _faults]);
    }

    private static string? Shorten(object? value) => value switch
    {
        null => null,
        IFormattable number => number.ToString(null, System.Globalization.CultureInfo.InvariantCulture),
        _ when value.ToString() is { Length: > 120 } text => text[..117] + "...",
        _ => value.ToString(),
    };
}
