using System.CommandLine;
using FineTuneService.Contracts;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneService.Cli;

/// <summary><c>--device cpu|cuda|cuda:N</c>.</summary>
internal static class DeviceOption
{
    public static Option<string?> Create() => new("--device") { Description = "cpu, cuda or cuda:N. Default: the first GPU, else the CPU." };

    /// <param name="rank">Of several processes each takes the device of its number.</param>
    /// <exception cref="FaultException">When there is no such device.</exception>
    public static Device Choose(string? name, int rank = 0)
    {
        var wanted = name ?? (cuda_is_available() ? "cuda" : "cpu");
        if (wanted == "cpu")
            return CPU;
        var index = wanted == "cuda" ? rank : wanted.StartsWith("cuda:", StringComparison.Ordinal) && int.TryParse(wanted[5..], out var number) ? number : -1;
        if (index < 0 || !cuda_is_available() || index >= cuda.device_count())
            throw new FaultException("--device", wanted, "There is no such device here.", cuda_is_available() ? $"Choose cpu or cuda:0 to cuda:{cuda.device_count() - 1}." : "Choose cpu.");
        return device(DeviceType.CUDA, index);
    }
}
