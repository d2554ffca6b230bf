using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using FineTuneService.Contracts;

namespace FineTuneService.Cli;

/// <summary>
/// Starts the processes that share a run, under Open MPI's <c>mpirun</c>: when one dies it ends them all, and what it returns is what they did.
/// They are asked to stop as every supervised trainer is, by a line on standard input, and end with it.
/// </summary>
internal static class MpiLaunch
{
    // No network: shared memory of one machine, and lo for what mpirun itself has to say. A rank waits for the others without using a processor up.
    private static readonly string[] Options =
    [
        "--quiet", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none",
        "--mca", "pml", "ob1", "--mca", "btl", "self,vader", "--mca", "btl_vader_single_copy_mechanism", "none",
        "--mca", "plm", "isolated", "--mca", "oob_tcp_if_include", "lo", "--mca", "mpi_yield_when_idle", "1",
    ];

    /// <param name="train">Arguments of <c>finetune</c>, for each of them.</param>
    /// <returns>Their exit code.</returns>
    /// <exception cref="FaultException">When there is no mpirun.</exception>
    public static int Run(int processes, IEnumerable<string> train, CancellationToken stop)
    {
        var count = processes.ToString(CultureInfo.InvariantCulture);
        var start = new ProcessStartInfo("mpirun", ["-n", count, .. Options, Environment.ProcessPath!, .. train]) { RedirectStandardInput = true };
        try
        {
            while (true)
            {
                using var running = Process.Start(start)!;
                using var _ = stop.Register(() => running.StandardInput.WriteLine("stop"));
                running.StandardInput.AutoFlush = true;
                running.WaitForExit();
                if (running.ExitCode != TrainerExit.Restart)
                    return running.ExitCode;
            }
        }
        catch (Win32Exception)
        {
            throw new FaultException("/devices", count, "Several processes need Open MPI, which is not here.", "Install it (apt-get install openmpi-bin), or leave devices out.");
        }
    }
}
