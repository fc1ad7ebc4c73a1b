# docker build -t mmseg-uda .                                                          for CPUs
# docker build -t mmseg-uda --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 .   for GPUs
FROM python:3.11-slim
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN apt-get update && apt-get install -y --no-install-recommends git libgl1 libglib2.0-0 && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/mmseg-uda
COPY requirements.txt ./
RUN pip install --no-cache-dir --extra-index-url "$TORCH_INDEX" -r requirements.txt
COPY . .
RUN pip install --no-cache-dir --no-deps .
WORKDIR /work
ENTRYPOINT ["mmseg-uda"]
