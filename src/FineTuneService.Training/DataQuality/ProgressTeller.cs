using FineTuneService.Contracts;

namespace FineTuneService.Training.DataQuality;

/// <summary>Tells how far a piece of work is, in phases of a known share, a hundred times or so.</summary>
internal sealed class ProgressTeller(Action<DataProgress> tell)
{
    private double _done, _share, _told = -1;
    private string _phase = "";

    /// <param name="share">Of the whole work, in [0, 1]; all shares together are 1.</param>
    public void Begin(string phase, double share)
    {
        (_done, _share, _phase) = (_done + _share, share, phase);
        Tell(_done);
    }

    /// <param name="fraction">Of the present phase.</param>
    public void At(double fraction)
    {
        var now = _done + _share * Math.Clamp(fraction, 0, 1);
        if (now - _told >= 0.01)
            Tell(now);
    }

    public void End() => Tell(1);

    private void Tell(double fraction)
    {
        _told = Math.Max(_told, Math.Min(1, fraction));
        tell(new() { Phase = _phase, Fraction = Math.Round(_told, 3) });
    }
}
