using System.Diagnostics;

namespace FineTuneService.EndToEnd.Tests.Load;

/// <summary>What a process takes of the machine from now on.</summary>
internal sealed class ProcessMeter
{
    private readonly string _name;
    private readonly Process _process;
    private readonly TimeSpan _processorTime;
    private readonly long _began = TimeProvider.System.GetTimestamp();

    public ProcessMeter(string name, Process process)
    {
        (_name, _process) = (name, process);
        process.Refresh();
        _processorTime = process.TotalProcessorTime;
    }

    public override string ToString()
    {
        _process.Refresh();
        return FormattableString.Invariant($"{_name,-26} {(_process.TotalProcessorTime - _processorTime) / TimeProvider.System.GetElapsedTime(_began):F2} cores, {_process.WorkingSet64 >> 20} MB");
    }
}
